# Without keras3, the history is the only record of a run that was not saved.

a_history <- function() {
  structure(
    list(params = list(epochs = 2L), metrics = list(loss = c(2, 1), val_loss = c(3, NaN))),
    class = "keras_training_history"
  )
}

test_that("it prints its last epoch", {
  expect_snapshot(print_history(a_history()))
})

test_that("as a data frame it has a row per epoch and metric", {
  frame <- history_as_data_frame(a_history())
  expect_identical(frame$epoch, c(1:2, 1:2))
  expect_identical(as.character(frame$data), rep(c("training", "validation"), each = 2))
  expect_identical(levels(frame$metric), "loss")
  expect_identical(nrow(history_as_data_frame(list(metrics = list()))), 0L)
})

test_that("it plots with and without ggplot2, one epoch as well", {
  withr::local_pdf(NULL)
  one <- a_history()
  one$metrics <- list(loss = 2)
  expect_silent(plot_history_base(history_as_data_frame(one)))
  expect_silent(plot_history_base(history_as_data_frame(a_history())))
  skip_if_not_installed("ggplot2")
  expect_s3_class(plot_history(a_history()), "ggplot")
  expect_silent(print(plot_history(one)))
})

test_that("a run's files tell its whole history, of deleted files too", {
  skip_without_keras()
  directory <- local_directory()
  saving <- callback_model_checkpoint(file.path(directory, "{epoch}.keras"), keep_last = 1,
                                      monitor = "loss", mode = "min")
  history <- train(new_model(), saving, epochs = 3)
  read <- checkpoint_history(directory)
  expect_s3_class(read, "keras_training_history")
  expect_equal(read$metrics[names(history$metrics)], history$metrics)
  expect_identical(nrow(as.data.frame(read)), 12L)
  expect_output(print(read), "loss")
  expect_null(suppressWarnings(checkpoint_history(local_directory("empty"))))
})
