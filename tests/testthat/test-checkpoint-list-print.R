# The table in the console is what most people will know of their files.

shown_list <- function(n = 3) {
  structure(
    data.frame(
      path = sprintf("/run/%02d.keras", seq_len(n)), epoch = seq_len(n), batch = 0L,
      step = 10 * seq_len(n), monitor = "val_loss", mode = "min",
      value = c(.5, .25, .3)[seq_len(n)],
      best = c(TRUE, TRUE, FALSE)[seq_len(n)], reason = "epoch",
      saved_at = as.POSIXct("2026-01-31 12:00:00", tz = "UTC") + seq_len(n),
      size = 12345, weights_only = FALSE, keras_version = "3.15.1", backend = "jax", schema = 1L,
      loss = c(.4, .3, .2)[seq_len(n)], val_loss = c(.5, .25, .3)[seq_len(n)]
    ),
    class = c("checkpoint_list", "data.frame")
  )
}

test_that("the table names files, values, the best, and leaves nothing out", {
  expect_snapshot(print(shown_list()))
  long <- shown_list(1)
  long$path <- paste0("/run/", strrep("x", 300), ".keras")
  expect_output(print(long), strrep("x", 300), fixed = TRUE)
  expect_output(print(shown_list()[0, ]), "No checkpoints")
  expect_output(print(shown_list(), n = 1), "2 older")
})

test_that("a metric that is named like a column keeps its name, and Inf shows all rows", {
  files <- shown_list()
  files$monitor <- "size"
  expect_output(print(files, n = Inf), "epoch +size +best .* size\n01")
  expect_error(print(files, n = 0), class = "kerascheckpoint_argument_error")
})

test_that("a save within an epoch says how far it was", {
  files <- shown_list()
  files$batch[3] <- 7L
  expect_output(print(files), "3 + 7 batches", fixed = TRUE)
})

test_that("a list without its columns is an ordinary data frame", {
  expect_output(print(shown_list()[, c("path", "epoch")]), "path")
})

test_that("the summary counts", {
  counted <- summary(shown_list())
  expect_identical(counted$files, 3L)
  expect_identical(counted$bytes, 3 * 12345)
  expect_identical(counted$best$path, "/run/02.keras")
  expect_identical(counted$latest$path, "/run/03.keras")
  expect_identical(counted$epochs, c(1L, 3L))
  expect_snapshot(counted)
  expect_identical(summary(shown_list()[0, ])$files, 0L)
  expect_output(print(summary(shown_list()[0, ])), "files +0")
})

test_that("bytes are shown in the unit that fits", {
  expect_identical(format_bytes(c(0, 999, 1000, 12345, 5e9, NA)),
                   c("0 B", "999 B", "1.0 kB", "12 kB", "5.0 GB", "?"))
})
