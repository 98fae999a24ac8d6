# A file that was accepted must not vanish with the session.

test_that("files written in the background are there when fit() returns", {
  skip_without_keras()
  directory <- local_directory()
  saving <- callback_model_checkpoint(file.path(directory, "{epoch}.keras"),
                                      save_on_background = TRUE)
  train(new_model(), saving, epochs = 3)
  expect_identical(list_checkpoints(directory)$epoch, 1:3)
  for (path in list_checkpoints(directory)$path) {
    expect_identical(nrow(verify_checkpoint(path)), 1L)
  }
})

test_that("accepted files are finished when the session ends after a failed fit()", {
  skip_without_keras()
  directory <- local_directory()
  in_new_session(function(directory) {
    library(kerascheckpoint)
    model <- keras_model_sequential(input_shape = 2) |>
      layer_dense(1) |>
      compile(loss = "mse", optimizer = "sgd")
    saving <- callback_model_checkpoint(file.path(directory, "{epoch}.keras"), monitor = "loss",
                                        save_on_background = TRUE)
    failing <- reticulate::py_run_string(paste(
      "import keras",
      "class Failing(keras.callbacks.Callback):",
      "    def on_epoch_end(self, epoch, logs=None):",
      "        if epoch == 1: raise ZeroDivisionError",
      sep = "\n"
    ))$Failing()
    # Without this package's fit(), which would wait by itself.
    try(model$fit(matrix(1, 4, 2), matrix(1, 4, 1), epochs = 3L, verbose = 0L,
                  callbacks = list(saving, failing)), silent = TRUE)
    NULL
  }, directory)
  expect_identical(list_checkpoints(directory)$epoch, 1:2)
})

test_that("a file that failed, and that nobody asked about, is named when the session ends", {
  skip_without_keras()
  directory <- local_directory()
  seen <- in_new_session(function(directory) {
    library(kerascheckpoint)
    model <- keras_model_sequential(input_shape = 2) |>
      layer_dense(1) |>
      compile(loss = "mse", optimizer = "sgd")
    saving <- callback_model_checkpoint(file.path(directory, "{epoch}", "a.keras"),
                                        monitor = "loss", save_on_background = TRUE)
    failing <- reticulate::py_run_string(paste(
      "import keras",
      "class Failing(keras.callbacks.Callback):",
      "    def on_epoch_end(self, epoch, logs=None):",
      "        raise ZeroDivisionError",
      sep = "\n"
    ))$Failing()
    writeLines("no directory", file.path(directory, "1"))
    try(model |> fit(matrix(1, 4, 2), matrix(1, 4, 1), epochs = 1, verbose = 0,
                     callbacks = list(saving, failing)), silent = TRUE)
    NULL
  }, directory)
  expect_match(seen$output, "could not write.*1/a[.]keras", all = FALSE)
})

test_that("files accepted before fit() failed are there when somebody looks", {
  skip_without_keras()
  directory <- local_directory()
  saving <- callback_model_checkpoint(file.path(directory, "{epoch}.keras"),
                                      save_on_background = TRUE)
  failing <- reticulate::py_run_string(paste(
    "import keras",
    "class Failing(keras.callbacks.Callback):",
    "    def on_epoch_end(self, epoch, logs=None):",
    "        if epoch == 2: raise ZeroDivisionError",
    sep = "\n"
  ))$Failing()
  x <- matrix(sin(1:80), 8)
  # As in keras3's fit(), nobody waits for the last file.
  suppressWarnings(expect_error(
    new_model()$fit(x, matrix(1, 8), validation_split = .5, epochs = 3L, verbose = 0L,
                    callbacks = list(saving, failing))
  ), classes = "kerascheckpoint_warning") # that the disk is slower than these epochs
  expect_identical(list_checkpoints(directory)$epoch, 1:3)
})

# Sends itself SIGINT in plain R code, after a `fit()` that is given `more` callbacks.
interrupted_after_fit <- function(directory, more) {
  in_new_session(function(directory, more) {
    library(kerascheckpoint)
    model <- keras_model_sequential(input_shape = 2) |>
      layer_dense(1) |>
      compile(loss = "mse", optimizer = "sgd")
    saving <- callback_model_checkpoint(file.path(directory, "{epoch}.keras"), monitor = "loss",
                                        save_on_interrupt = TRUE)
    train <- function(...) {
      try(model |> fit(matrix(1, 4, 2), matrix(1, 4, 1), epochs = 1, verbose = 0,
                       callbacks = list(saving, ...)), silent = TRUE)
    }
    if (is.null(more)) train() else train(reticulate::py_run_string(more)$Failing())
    interrupt <- function() {
      tools::pskill(Sys.getpid(), tools::SIGINT)
      until <- Sys.time() + 5
      while (Sys.time() < until) Sys.sleep(.01)
      "nothing happened"
    }
    caught <- function() tryCatch(interrupt(), interrupt = function(condition) "interrupted")
    c(caught(), caught())
  }, directory, more)$value
}

test_that("after a fit() that watched for signals, an interrupt stops R's own code", {
  skip_without_keras()
  skip_on_os("windows")
  expect_identical(interrupted_after_fit(local_directory(), NULL), rep("interrupted", 2L))
})

test_that("so it does after one that failed", {
  skip_without_keras()
  skip_on_os("windows")
  skip_with_keras3()
  failing <- paste(
    "import keras",
    "class Failing(keras.callbacks.Callback):",
    "    def on_epoch_end(self, epoch, logs=None):",
    "        raise ZeroDivisionError",
    sep = "\n"
  )
  expect_identical(interrupted_after_fit(local_directory(), failing), rep("interrupted", 2L))
})
