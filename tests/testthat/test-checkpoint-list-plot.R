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
  data <- plot_data(plotted_list(), NULL)
  expect_identical(data$points$at, c(1, 2, 3))
  expect_identical(data$points$value, c(.5, .25, .3))
  expect_identical(data$points$paired, c(.4, .3, .2))
  expect_identical(data$points$is_best, c(FALSE, TRUE, FALSE))
  expect_identical(data$axis, "epochs completed")
})

test_that("another metric can be chosen, an unknown one is refused by name", {
  expect_identical(plot_data(plotted_list(), "loss")$points$value, c(.4, .3, .2))
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
  expect_equal(plot_data(files, NULL)$points$at, c(1, 2.5, 3))
  files$epoch <- 0L
  files$batch <- c(3L, 5L, 9L)
  files$step <- c(3, 5, 9)
  expect_identical(plot_data(files, NULL)$axis, "batches trained")
})

test_that("another metric than the monitored one says by what the best is", {
  data <- plot_data(plotted_list(), "loss")
  expect_identical(data$points$is_best, c(FALSE, TRUE, FALSE))
  expect_identical(best_label(data, data$points[2, ]), "best by\nval_loss\n0.3")
  expect_match(data$subtitle, "best by val_loss: 02.keras", fixed = TRUE)
  expect_match(fill_labels(data)[1], "by val_loss", fixed = TRUE)
  monitored <- plot_data(plotted_list(), NULL)
  expect_identical(best_label(monitored, monitored$points[2, ]), "best\n0.25")
  expect_match(monitored$subtitle, "\nbest: 02.keras", fixed = TRUE)
})

test_that("files without a value are left out and counted", {
  files <- plotted_list()
  files$val_loss[3] <- NaN
  data <- plot_data(files, NULL)
  expect_identical(data$points$at, c(1, 2))
  expect_identical(data$caption, "1 of 3 files without a value")
  expect_null(plot_data(plotted_list(), NULL)$caption)
})

test_that("a list without its columns says which ones it lacks", {
  expect_error(plot(plotted_list()[c("path", "epoch", "val_loss")]), "lacks the columns `batch`",
               class = "kerascheckpoint_argument_error")
})

another_run <- function(directory) {
  other <- plotted_list()
  other$path <- sub("/run", directory, other$path, fixed = TRUE)
  other$val_loss <- other$value <- c(.6, .5, .1)
  other
}

test_that("each run is a line of its own, with its own best", {
  runs <- rbind(cbind(run = "a", plotted_list()), cbind(run = "b", another_run("/other")))
  data <- plot_data(as_checkpoint_list(as.data.frame(runs)), NULL)
  expect_identical(as.character(data$points$run), rep(c("a", "b"), each = 3))
  expect_identical(which(data$points$is_best), c(2L, 6L))
  expect_identical(run_labels(data), c("a (best: 0.25)", "b (best: 0.1)"))
  expect_null(data$paired)
})

test_that("runs that were bound without names are told apart by their places", {
  groups <- function(...) as.character(plot_data(rbind(...), NULL)$points$run)
  expect_identical(groups(plotted_list(), another_run("/other")), rep(c("run", "other"), each = 3))
  beside <- another_run("/run")
  beside$path <- sub("/run/", "/run/big-", beside$path, fixed = TRUE)
  expect_identical(groups(plotted_list(), beside), rep(c("#.keras", "big-#.keras"), each = 3))
  # The same state in two files is no second run.
  copy <- plotted_list()[3, ]
  copy$path <- "/run/last.keras"
  expect_identical(groups(plotted_list(), copy), rep("", 4))
})

test_that("names of metrics and files cannot break the picture", {
  files <- plotted_list()
  names(files)[names(files) == "val_loss"] <- "val\nloss"
  files$monitor <- "val\nloss"
  data <- plot_data(files, NULL)
  expect_identical(data$metric, "val\\x0aloss")
  expect_identical(data$points$value, c(.5, .25, .3))
})

test_that("ggplot2 draws it, and base graphics without ggplot2", {
  data <- plot_data(plotted_list(), NULL)
  withr::local_pdf(NULL)
  expect_silent(draw_with_base_graphics(data))
  alone <- plotted_list()[setdiff(names(plotted_list()), "loss")]
  expect_silent(draw_with_base_graphics(plot_data(alone, NULL)))
  two <- rbind(plotted_list(), another_run("/other"))
  expect_silent(draw_with_base_graphics(plot_data(two, NULL)))
  skip_if_not_installed("ggplot2")
  drawn <- withVisible(plot(plotted_list()))
  expect_true(drawn$visible)
  expect_s3_class(drawn$value, "ggplot")
  expect_silent(print(drawn$value))
  expect_silent(print(plot(plotted_list()[1, ])))
  expect_silent(print(plot(plotted_list(), metric = "loss")))
  expect_silent(print(plot(two)))
  expect_s3_class(ggplot2::autoplot(plotted_list(), metric = "loss"), "ggplot")
})

test_that("no text is cut in a narrow picture, and a low one keeps its panel", {
  expect_identical(plot_theme(c(7, 7))$legend.position, "bottom")
  expect_identical(plot_theme(c(10, 2.5))$legend.position, "right")
  expect_identical(plot_theme(c(2.5, 4))$legend.direction, "vertical")
  path <- withr::local_tempfile(fileext = ".png")
  grDevices::png(path, 3, 3, units = "in", res = 70)
  withr::defer(grDevices::dev.off())
  name <- strrep("long_", 30)
  lines <- strsplit(wrapped(paste0(name, "\nshort")), "\n")[[1L]]
  expect_true(all(nchar(lines) <= 42))
  expect_identical(paste(utils::head(lines, -1L), collapse = ""), name)
  expect_identical(utils::tail(lines, 1L), "short")
})
