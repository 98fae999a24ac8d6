# A generator written in R that draws random numbers goes on as if it had never stopped,
# although its batches are made before they are trained.

# Trains 3 epochs of 3 batches in each directory, in an R session of its own. The seed decides the
# batches. Returns the metrics of each.
train_on_generator <- function(directories, seed) {
  train <- function(directory) {
    library(kerascheckpoint)
    set.seed(seed)
    batches <- function() {
      list(matrix(sample(1000, 40) / 1000, 2), matrix(sample(0:1, 2, replace = TRUE), 2))
    }
    if (!requireNamespace("keras3", quietly = TRUE)) { # which does this itself
      as_generator <- reticulate::py_eval("lambda iterator: (tuple(batch) for batch in iterator)")
      batches <- as_generator(reticulate::py_iterator(batches))
    }
    constant <- reticulate::import("keras")$initializers$Constant(.1)
    model <- keras_model_sequential(input_shape = 20) |>
      layer_dense(1, activation = "sigmoid", kernel_initializer = constant) |>
      compile(loss = "binary_crossentropy", optimizer = "adam")
    frequency <- if (startsWith(basename(directory), "epoch")) "epoch" else 1
    saving <- callback_model_checkpoint(file.path(directory, "{step}.keras"), "loss",
                                        save_freq = frequency, resume = TRUE)
    history <- fit(model, batches, steps_per_epoch = 3, epochs = 3, verbose = 0,
                   callbacks = list(saving))
    history$metrics
  }
  lapply(directories, train)
}

# Before reticulate 1.31 fetched a batch ahead, R and TensorFlow could wait for each other forever.
backend <- if (packageVersion("reticulate") < "1.31") c(KERAS_BACKEND = "jax") else character()

test_that("a generator that calls sample() goes on after any batch, and after an epoch", {
  skip_without_keras()
  skip_if(length(backend) > 0 && !reticulate::py_module_available("jax"), "JAX is not installed")
  directory <- local_directory()
  whole <- file.path(directory, c("batch", "epoch"))
  metrics <- in_new_session(train_on_generator, whole, seed = 5, env = backend)$value
  step <- c(1:4, 8, 3, 6)
  of <- rep(1:2, c(5, 2))
  stopped <- paste0(whole[of], step) # with the file that a run which stopped there has left
  for (index in seq_along(step)) {
    dir.create(stopped[index])
    file.copy(file.path(whole[of[index]], paste0(step[index], ".keras")), stopped[index])
  }
  resumed <- in_new_session(train_on_generator, stopped, seed = 6, env = backend)$value
  expect_identical(resumed, metrics[of])
  for (index in seq_along(step)) {
    last <- file.path(c(whole[of[index]], stopped[index]), "9.keras")
    expect_true(all(compare_checkpoints(last[1], last[2])$equal), label = stopped[index])
  }
})
