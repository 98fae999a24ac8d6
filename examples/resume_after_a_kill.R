# Train, get killed, run the same script again: the result equals a run that was never stopped.
# Usage: Rscript examples/resume_after_a_kill.R [DIRECTORY]

library(kerascheckpoint)

# Trains for ten epochs; `fit()` shuffles, and EarlyStopping counts.
train <- function(run, die_in_epoch = NULL) {
  keras <- reticulate::import("keras")
  keras$utils$set_random_seed(1L)
  set.seed(1)
  x <- matrix(rnorm(200 * 8), 200)
  y <- as.matrix(rowSums(x))
  model <- keras_model_sequential(
    input_shape = 8,
    layers = list(layer_dense(units = 32, activation = "relu"), keras$layers$Dropout(.2))
  ) |>
    layer_dense(1) |>
    compile(optimizer = "adam", loss = "mse")
  callbacks <- list(
    keras$callbacks$EarlyStopping(patience = 5L),
    callback_model_checkpoint(
      file.path(run, "{step:04d}.keras"),
      save_freq = 7, keep_last = 2, resume = TRUE
    )
  )
  if (!is.null(die_in_epoch)) {
    die <- function(epoch, logs) {
      if (epoch == die_in_epoch) tools::pskill(Sys.getpid(), tools::SIGKILL)
    }
    callbacks <- c(callbacks, keras$callbacks$LambdaCallback(on_epoch_begin = die))
  }
  model |> fit(
    x, y,
    epochs = 10, validation_split = .2, verbose = 0, callbacks = callbacks
  )
  model
}

arguments <- commandArgs(trailingOnly = TRUE)
if (length(arguments) == 2 && arguments[1] == "--die") {
  train(arguments[2], die_in_epoch = 6)
}

directory <- if (length(arguments) > 0) arguments[1] else tempfile("run-")
killed <- file.path(directory, "killed")
script <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
status <- system2(
  file.path(R.home("bin"), "Rscript"), c(shQuote(script), "--die", shQuote(killed))
)
cat("the first process ended with status", status, "\n")
cat("it left:", list.files(killed), "\n")

resumed <- train(killed)
whole <- train(file.path(directory, "whole"))
same <- identical(resumed$get_weights(), whole$get_weights())
cat("the resumed model equals the one of an uninterrupted run:", same, "\n")
