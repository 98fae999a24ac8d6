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

test_that("a save within an epoch says how far it was, of how many batches if known", {
  files <- shown_list()
  files$batch[3] <- 7L
  files$step[3] <- 37
  expect_output(print(files), "3 + 7/10 batches", fixed = TRUE)
  files$batch[3] <- 10L
  files$step[3] <- 40
  expect_output(print(files), "3 + 10/10 batches", fixed = TRUE)
  first <- files[3, ]
  first[c("epoch", "step")] <- list(0L, 10)
  expect_output(print(first), "0 + 10 batches", fixed = TRUE)
})

test_that("a part of a list keeps the mark of the best of the whole", {
  expect_output(print(shown_list()[2:3, ]), "02.* \\*\\* ")
  files <- as_checkpoint_list(as.data.frame(shown_list()))
  expect_false(any(grepl("**", capture.output(print(files[c(1, 3), ])), fixed = TRUE)))
  expect_output(print(files[c(1, 3), ]), "01.* \\* ")
  expect_identical(summary(files[c(1, 3), ])$best$path, "/run/03.keras")
})

test_that("a narrow console gets fewer columns and whole paths", {
  withr::local_options(width = 40)
  lines <- capture.output(print(shown_list()))
  expect_lte(max(nchar(lines)), 40L)
  expect_match(lines, "02.keras  2      0.25      **", fixed = TRUE, all = FALSE)
  expect_match(lines, "too narrow for: reason, size, saved", fixed = TRUE, all = FALSE)
})

test_that("names cannot command the terminal", {
  files <- shown_list()
  files$path[3] <- "/run/\u001b[31m\u202e.keras"
  files$monitor <- "loss\u001b[2J"
  for (shown in list(capture.output(print(files)), capture.output(print(summary(files))))) {
    expect_false(any(grepl("[\u001b\u202e]", shown)))
    expect_match(shown, "\\x1b[31m\\u202e.keras", fixed = TRUE, all = FALSE)
  }
})

test_that("relative paths and several runs are shown whole", {
  files <- shown_list()
  files$path <- sprintf("%02d.keras", 1:3)
  expect_output(print(files), "in [.]\n\nfile .*\n01.keras")
  runs <- rbind(cbind(run = "a", shown_list()), cbind(run = "b", shown_list()))
  expect_output(print(as_checkpoint_list(runs)), "run  file .*\na    01.keras.*\nb    03.keras")
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
