# A generator written in R that draws random numbers goes on as if it had never stopped,
# although its batches are made before they are trained.

# Trains 3 epochs of 3 batches, which `seed` decides; returns the metrics.
train_on_generator <- function(directory, seed, save_freq) {
  library(kerascheckpoint)
  set.seed(seed)
  batches <- function() {
    list(matrix(sample(1000, 20) / 1000, 2), matrix(sample(0:1, 2, replace = TRUE), 2))
  }
  if (!requireNamespace("keras3", quietly = TRUE)) { # which does this itself
    as_generator <- reticulate::py_eval("lambda iterator: (tuple(batch) for batch in iterator)")
    batches <- as_generator(reticulate::py_iterator(batches))
  }
  constant <- reticulate::import("keras")$initializers$Constant(.1)
  model <- keras_model_sequential(input_shape = 10) |>
    layer_dense(1, activation = "sigmoid", kernel_initializer = constant) |>
    compile(loss = "binary_crossentropy", optimizer = "adam")
  saving <- callback_model_checkpoint(file.path(directory, "{step}.keras"), "loss", resume = TRUE,
                                      save_freq = save_freq)
  history <- fit(model, batches, steps_per_epoch = 3, epochs = 3, verbose = 0,
                 callbacks = list(saving))
  history$metrics
}

# Resumes with another seed from the file of a step, as if training had stopped there.
resume_from <- function(directory, step, save_freq, run = do.call) {
  stopped <- withr::local_tempdir()
  file.copy(file.path(directory, paste0(step, ".keras")), stopped)
  metrics <- run(train_on_generator, list(stopped, seed = 6, save_freq = save_freq))
  arrays <- compare_checkpoints(file.path(directory, "9.keras"), file.path(stopped, "9.keras"))
  list(metrics = metrics, equal = all(arrays$equal))
}

test_that("a generator that calls sample() goes on after any batch, and after an epoch", {
  skip_without_keras()
  withr::local_preserve_seed()
  for (frequency in list(1, "epoch")) {
    directory <- local_directory(frequency)
    whole <- train_on_generator(directory, seed = 5, save_freq = frequency)
    for (step in if (frequency == 1) c(1:4, 8) else c(3, 6)) {
      resumed <- resume_from(directory, step, frequency)
      expect_identical(resumed, list(metrics = whole, equal = TRUE), label = paste("step", step))
    }
  }
  in_process <- function(fun, arguments) do.call(in_new_session, c(fun, arguments))$value
  resumed <- resume_from(directory, 3, "epoch", run = in_process)
  expect_identical(resumed, list(metrics = whole, equal = TRUE))
})
