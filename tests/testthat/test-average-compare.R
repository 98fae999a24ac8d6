# An average is only as good as the arithmetic and the files that it names.

trained_weights <- function(env = parent.frame()) {
  directory <- local_directory(env = env)
  saving <- callback_model_checkpoint(file.path(directory, "{epoch}.weights.h5"),
                                      save_weights_only = TRUE)
  train(new_model(), saving, epochs = 3)
  list_checkpoints(directory)
}

test_that("the average has the mean of the weights", {
  skip_without_keras()
  files <- trained_weights()
  output <- file.path(local_directory(), "mean.weights.h5")
  expect_warning(made <- average_checkpoints(tail(files, 2), output),
                 class = "kerascheckpoint_warning")
  expect_identical(made$path, output)
  weights <- function(path) (new_model() |> load_model_weights(path))$get_weights()
  means <- suppressWarnings(Map(function(a, b) (a + b) / 2, weights(files$path[2]),
                                weights(files$path[3])))
  expect_equal(suppressWarnings(weights(output)), means, tolerance = 1e-6)
})

test_that("a comparison has a row for each array", {
  skip_without_keras()
  files <- trained_weights()
  same <- compare_checkpoints(files$path[1], files$path[1])
  expect_true(all(same$equal))
  expect_identical(same$max_abs, rep(0, nrow(same)))
  differs <- compare_checkpoints(files$path[1], files$path[3])
  expect_true("10 x 1" %in% differs$shape)
  expect_true(any(!differs$equal & differs$max_abs > 0))
})

test_that("wrong arguments are refused by name", {
  refused <- function(code, argument) {
    error <- expect_error(code, class = "kerascheckpoint_argument_error")
    expect_identical(error$argument, argument)
  }
  refused(average_checkpoints(1, "a.keras"), "paths")
  refused(average_checkpoints(c("a.keras", "b.keras")), "output")
  refused(average_checkpoints(c("a.keras", "b.keras"), NA), "output")
  refused(compare_checkpoints("a.keras"), "b")
  refused(compare_checkpoints(NULL, "b.keras"), "a")
})
