# The plot must show the right files at the right place, and mark the right one.

plotted_list <- function() {
  structure(
    data.frame(
      path = sprintf("/run/%02d.keras", 1:3), epoch = 1:3, batch = 0L, step = c(10, 20, 30),
      monitor = "val_loss", mode = "min", value = c(.5, .25, .3), best = c(TRUE, TRUE, FALSE),
      reason = "epoch", saved_at = as.POSIXct("2026-01-31 12:00:00", tz = "UTC") + 1:3,
      size = 12345, weights_only = FALSE, keras_version = "3.15.1", backend = "jax", schema = 1L,
      loss = c(.4, .3, .2), val_loss = c(.5, .25, .3)
    ),
    class = c("checkpoint_list", "data.frame")
  )
}

test_that("points are the files, the monitored metric by default, the best marked", {
  picture <- checkpoint_picture(plotted_list(), NULL)
  expect_identical(picture$points$at, c(1, 2, 3))
  expect_identical(picture$points$value, c(.5, .25, .3))
  expect_identical(picture$points$partner, c(.4, .3, .2))
  expect_identical(picture$points$is_best, c(FALSE, TRUE, FALSE))
  expect_identical(picture$axis, "epochs completed")
})

test_that("another metric can be chosen, an unknown one is refused by name", {
  expect_identical(checkpoint_picture(plotted_list(), "loss")$points$value, c(.4, .3, .2))
  expect_error(plot(plotted_list(), metric = "nope"), "\"val_loss\"",
               class = "kerascheckpoint_argument_error")
  expect_error(plot(plotted_list(), metric = c("loss", "val_loss")), "`metric`",
               class = "kerascheckpoint_argument_error")
  expect_error(plot(plotted_list()[0, ]), "nothing to plot",
               class = "kerascheckpoint_argument_error")
  # A stock Keras file says neither its metrics nor its epoch.
  stock <- plotted_list()[1, fixed_columns]
  stock[c("epoch", "monitor", "mode", "value", "best", "schema")] <- NA
  expect_error(plot(structure(stock, class = class(plotted_list()))), "nothing to plot",
               class = "kerascheckpoint_argument_error")
})

test_that("saves within an epoch stand between the epochs", {
  files <- plotted_list()
  files$batch <- c(0L, 5L, 0L)
  files$step <- c(10, 25, 30)
  expect_equal(checkpoint_picture(files, NULL)$points$at, c(1, 2.5, 3))
  files$epoch <- 0L
  files$batch <- c(3L, 5L, 9L)
  files$step <- c(3, 5, 9)
  expect_identical(checkpoint_picture(files, NULL)$axis, "batches trained")
})

test_that("the label of the best stays within the plot", {
  points <- data.frame(at = 1:10, is_best = FALSE)
  with_best <- function(row) replace(points, "is_best", seq_len(10) == row)
  expect_identical(label_side(with_best(10)), 1)
  expect_identical(label_side(with_best(1)), 0)
  expect_identical(label_side(with_best(5)), .5)
  expect_identical(label_side(points), .5)
  expect_identical(label_side(with_best(1)[1, ]), .5)
})

test_that("ggplot2 draws it, and base graphics without ggplot2", {
  picture <- checkpoint_picture(plotted_list(), NULL)
  withr::local_pdf(NULL)
  expect_silent(draw_with_base_graphics(picture))
  alone <- plotted_list()[setdiff(names(plotted_list()), "loss")]
  expect_silent(draw_with_base_graphics(checkpoint_picture(alone, NULL)))
  skip_if_not_installed("ggplot2")
  drawn <- withVisible(plot(plotted_list()))
  expect_true(drawn$visible)
  expect_s3_class(drawn$value, "ggplot")
  expect_silent(print(drawn$value))
  expect_silent(print(plot(plotted_list()[1, ])))
})
