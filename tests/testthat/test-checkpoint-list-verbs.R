# Whoever filters or binds a list of checkpoints goes on with a list of checkpoints.

listed <- function(directory, epochs, metric = "val_loss", values = 1 / epochs) {
  frame <- data.frame(
    path = file.path(directory, sprintf("%02d.keras", epochs)), epoch = epochs, batch = 0L,
    step = 10 * epochs, monitor = metric, mode = "min", value = values, best = TRUE,
    reason = "epoch", saved_at = as.POSIXct("2026-01-31 12:00:00", tz = "UTC") + epochs,
    size = 1000, weights_only = FALSE, keras_version = "3.15.1", backend = "jax", schema = 1L
  )
  frame[[metric]] <- values
  as_checkpoint_list(frame)
}

test_that("rows of a list are a list, a column is a vector", {
  files <- listed("/a", 1:3)
  expect_s3_class(files[2:3, ], "checkpoint_list")
  expect_s3_class(files[files$epoch > 1, ], "checkpoint_list")
  expect_s3_class(files[c("path", "epoch")], "checkpoint_list")
  expect_identical(files[["epoch"]], 1:3)
  expect_identical(files[, "epoch"], 1:3)
  expect_identical(files[2, "val_loss"], 1 / 2)
  expect_identical(is_best_of_run(files[1:2, ]), c(FALSE, FALSE))
  expect_identical(is_best_of_run(files[3:1, ]), c(TRUE, FALSE, FALSE))
})

test_that("runs with different metrics are bound, with NA for what one has not", {
  bound <- rbind(listed("/a", 1:2), listed("/b", 1:3, "val_accuracy"))
  expect_s3_class(bound, "checkpoint_list")
  expect_identical(dim(bound), c(5L, length(fixed_columns) + 2L))
  expect_identical(bound$val_loss, c(1, 1 / 2, NA, NA, NA))
  expect_identical(bound$val_accuracy, c(NA, NA, 1, 1 / 2, 1 / 3))
  expect_identical(which(is_best_of_run(bound)), c(2L, 5L))
  expect_identical(attr(bound$saved_at, "tzone"), "UTC")
  expect_identical(rbind(NULL, listed("/a", 1:2)), listed("/a", 1:2))
  expect_output(print(bound), "5 checkpoints")
})

test_that("as.data.frame() gives an ordinary data frame", {
  plain <- as.data.frame(listed("/a", 1:2))
  expect_identical(class(plain), "data.frame")
  expect_null(attr(plain, "best_paths"))
})

test_that("dplyr's verbs keep the class", {
  skip_if_not_installed("dplyr")
  files <- listed("/a", 1:3)
  expect_s3_class(dplyr::filter(files, epoch > 1), "checkpoint_list")
  expect_identical(is_best_of_run(dplyr::filter(files, epoch < 3)), c(FALSE, FALSE))
  sorted <- dplyr::arrange(files, dplyr::desc(epoch))
  expect_s3_class(sorted, "checkpoint_list")
  expect_identical(sorted$epoch, 3:1)
  expect_s3_class(dplyr::mutate(files, gap = val_loss - 1), "checkpoint_list")
  expect_s3_class(dplyr::slice_head(files, n = 1), "checkpoint_list")
  bound <- dplyr::bind_rows(files, listed("/b", 1:2, "accuracy"))
  expect_s3_class(bound, "checkpoint_list")
  expect_identical(nrow(bound), 5L)
})
