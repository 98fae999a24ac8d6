# The files of a run are what a user has left of it.

trained_run <- function(env = parent.frame()) {
  directory <- local_directory(env = env)
  saving <- callback_model_checkpoint(
    file.path(directory, "{epoch:02d}-{val_loss:.3f}.keras"), keep_last = 5
  )
  history <- train(new_model(), saving, epochs = 3)
  list(directory = directory, history = history)
}

test_that("each file is a row with its epoch and metrics, oldest first", {
  skip_without_keras()
  run <- trained_run()
  files <- list_checkpoints(run$directory)
  expect_s3_class(files, "checkpoint_list")
  expect_identical(files$epoch, 1:3)
  expect_identical(files$batch, c(0L, 0L, 0L))
  expect_identical(files$step, c(2, 4, 6))
  expect_equal(files$val_loss, run$history$metrics$val_loss)
  expect_equal(files$accuracy, run$history$metrics$accuracy)
  expect_identical(files$value, files$val_loss)
  expect_identical(files$monitor, rep("val_loss", 3))
  expect_identical(files$mode, rep("min", 3))
  expect_identical(files$reason, rep("epoch", 3))
  expect_identical(files$size, as.double(file.size(files$path)))
  expect_false(any(files$weights_only))
  expect_identical(attr(files$saved_at, "tzone"), "UTC")
  expect_lt(abs(as.numeric(difftime(Sys.time(), files$saved_at[3], units = "mins"))), 10)
})

test_that("one file and a template are places to look, too", {
  skip_without_keras()
  run <- trained_run()
  files <- list_checkpoints(run$directory)
  expect_identical(list_checkpoints(files$path[2])$path, files$path[2])
  template <- file.path(run$directory, "{epoch:02d}-{val_loss:.3f}.keras")
  expect_identical(list_checkpoints(template)$path, files$path)
  withr::with_dir(run$directory, expect_identical(list_checkpoints(".")$epoch, 1:3))
})

test_that("several runs are told apart by a column", {
  skip_without_keras()
  one <- trained_run()
  other <- trained_run()
  files <- list_checkpoints(c(small = one$directory, large = other$directory))
  expect_s3_class(files, "checkpoint_list")
  expect_identical(names(files)[1:2], c("run", "path"))
  expect_identical(files$run, rep(c("small", "large"), each = 3))
  expect_identical(files$epoch, c(1:3, 1:3))
  best <- c(best_checkpoint(one$directory), best_checkpoint(other$directory))
  expect_identical(files$path[is_best_of_run(files)], best)
  parent <- local_directory()
  expect_true(all(file.rename(c(one$directory, other$directory), file.path(parent, c("a", "b")))))
  files <- withr::with_dir(parent, list_checkpoints(c("a/", "b")))
  expect_identical(files$run, rep(c("a", "b"), each = 3))
  expect_error(list_checkpoints(c(parent, parent)), "tell its runs apart",
               class = "kerascheckpoint_argument_error")
})

test_that("the newest and the best are paths", {
  skip_without_keras()
  run <- trained_run()
  files <- list_checkpoints(run$directory)
  expect_identical(latest_checkpoint(run$directory), files$path[3])
  expect_identical(best_checkpoint(run$directory), files$path[which.min(files$val_loss)])
  expect_identical(best_checkpoint(run$directory), files$path[best_of(files)$row])
  expect_identical(best_checkpoint(run$directory, monitor = "loss", mode = "max"),
                   files$path[which.max(files$loss)])
})

test_that("a template that Python cannot fill is an error in its words", {
  skip_without_keras()
  expect_error(list_checkpoints("{}.keras"), "placeholder needs a name",
               class = "kerascheckpoint_value_error")
})

test_that("nothing there is no error, and it is said what is missing", {
  skip_without_keras()
  nowhere <- file.path(local_directory(), "nowhere")
  for (look in list(list_checkpoints, latest_checkpoint, best_checkpoint)) {
    expect_warning(found <- look(nowhere), "there is no file or directory",
                   class = "kerascheckpoint_warning")
    expect_length(found$path, 0L)
  }
})

test_that("a metric that no file has is named with those there are", {
  skip_without_keras()
  run <- trained_run()
  expect_warning(best <- best_checkpoint(run$directory, "typo"), "'typo'.*'val_loss'",
                 class = "kerascheckpoint_warning")
  expect_null(best)
})

test_that("an Orbax directory is a checkpoint, in R too", {
  skip_without_keras()
  skip_if_not(reticulate::py_module_available("orbax.checkpoint"), "orbax")
  directory <- local_directory()
  saving <- callback_model_checkpoint(file.path(directory, "{epoch}.orbax"))
  model <- new_model()
  train(model, saving)
  expect_identical(list_checkpoints(directory)$epoch, 1:2)
  best <- best_checkpoint(directory)
  expect_match(best, "[.]orbax$")
  expect_identical(verify_checkpoint(best)$path, best)
  expect_identical(restore_checkpoint(model, best)$path, best)
})

test_that("a run in a place that only fsspec reaches is read, verified and restored", {
  skip_without_keras()
  url <- paste0("memory://", basename(local_directory()), Sys.getpid(), "/run")
  model <- new_model()
  train(model, callback_model_checkpoint(paste0(url, "/{epoch}.keras")))
  files <- list_checkpoints(url)
  expect_identical(files$path, paste0(url, c("/1.keras", "/2.keras")))
  expect_identical(verify_checkpoint(files$path[2])$epoch, 2L)
  expect_identical(restore_checkpoint(model, latest_checkpoint(url))$epoch, 2L)
  expect_length(checkpoint_history(url)$metrics$loss, 2L)
})

# The stored arrays of so small a model lie around the middle of its file.
flip_a_byte <- function(path) {
  bytes <- readBin(path, "raw", file.size(path))
  kernel <- grepRaw("model.weights.h5", bytes, fixed = TRUE) + 6000L
  bytes[kernel + 0:4000] <- xor(bytes[kernel + 0:4000], as.raw(1))
  writeBin(bytes, path)
}

test_that("damage is found, said, and stepped over", {
  skip_without_keras()
  run <- trained_run()
  files <- list_checkpoints(run$directory)
  newest <- files$path[3]
  expect_identical(verify_checkpoint(newest)$epoch, 3L)
  flip_a_byte(newest)
  expect_error(verify_checkpoint(newest), class = "kerascheckpoint_corrupt_error")
  expect_warning(latest <- latest_checkpoint(run$directory), class = "kerascheckpoint_warning")
  expect_identical(latest, files$path[2])
  expect_error(verify_checkpoint(file.path(run$directory, "none.keras")),
               class = "kerascheckpoint_not_found_error")
})

test_that("wrong places are refused before Python is asked", {
  expect_error(list_checkpoints(NULL), class = "kerascheckpoint_argument_error")
  expect_error(latest_checkpoint(c("a", "b")), class = "kerascheckpoint_argument_error")
  expect_error(best_checkpoint("a", monitor = 1), class = "kerascheckpoint_argument_error")
  expect_error(best_checkpoint("a", mode = "auto"), class = "kerascheckpoint_argument_error")
  expect_error(verify_checkpoint(NA), class = "kerascheckpoint_argument_error")
  expect_error(list_checkpoints("{epoch.keras"), "without its partner",
               class = "kerascheckpoint_argument_error")
})

test_that("a URL is a place like any other", {
  skip_without_keras()
  run <- trained_run()
  url <- paste0("file://", run$directory)
  files <- list_checkpoints(url)
  expect_identical(files$epoch, 1:3)
  expect_identical(basename(latest_checkpoint(url)), basename(files$path[3]))
  expect_identical(verify_checkpoint(files$path[1])$epoch, 1L)
  expect_error(list_checkpoints(url, storage_options = list("x")),
               class = "kerascheckpoint_argument_error")
})
