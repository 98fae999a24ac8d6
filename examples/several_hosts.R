# Train one model in several processes, on one host or on many, with JAX.
#
# Every process has a copy of the weights and trains on its own part of each batch. All of them
# run this same script with the same callback: the first process writes, the others do not wait
# for it, and with `resume = TRUE` all of them go on from the same file.
#
# On each host, with the address of the first one and the number of this process:
#   Rscript several_hosts.R DIRECTORY HOST:PORT 2 0
#   Rscript several_hosts.R DIRECTORY HOST:PORT 2 1
# Without the last three, the script starts two processes on this machine:
#   Rscript several_hosts.R [DIRECTORY]
# DIRECTORY is on a disk that all hosts share, or a URL.

Sys.setenv(KERAS_BACKEND = "jax")
library(kerascheckpoint)

train <- function(directory, coordinator, processes, process) {
  jax <- reticulate::import("jax")
  jax$config$update("jax_cpu_collectives_implementation", "gloo") # GPUs need no such line
  jax$distributed$initialize(coordinator, num_processes = processes, process_id = process)

  keras <- reticulate::import("keras")
  keras$distribution$set_distribution(keras$distribution$DataParallel(auto_shard_dataset = FALSE))
  keras$utils$set_random_seed(1L)
  set.seed(1)
  x <- matrix(rnorm(256 * 8), 256)
  y <- as.matrix(rowSums(x))
  mine <- seq(process + 1L, nrow(x), by = processes) # this process's part of the data

  model <- keras_model_sequential(input_shape = 8) |>
    layer_dense(16) |>
    layer_dense(1) |>
    compile(optimizer = "adam", loss = "mse")
  checkpoint <- callback_model_checkpoint(
    file.path(directory, "{epoch:02d}.keras"),
    monitor = "loss", keep_last = 2, resume = TRUE
  )
  model |> fit(
    x[mine, ], y[mine, , drop = FALSE],
    batch_size = 16, epochs = 3, verbose = 0, callbacks = list(checkpoint)
  )
  written <- checkpoint$last_filepath
  cat("process", process, "wrote", if (is.null(written)) "None" else written, "\n")
}

# Starts two processes on this machine; returns when both have ended.
start_two <- function(directory) {
  script <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
  coordinator <- paste0("127.0.0.1:", sample(20000:60000, 1))
  start <- function(process, wait) {
    arguments <- c(shQuote(script), shQuote(directory), coordinator, 2, process)
    system2(file.path(R.home("bin"), "Rscript"), arguments, wait = wait)
  }
  start(1, wait = FALSE)
  start(0, wait = TRUE) # it ends when all processes have
}

arguments <- commandArgs(trailingOnly = TRUE)
directory <- if (length(arguments) > 0) arguments[1] else tempfile("run-")
if (length(arguments) == 4) {
  train(directory, arguments[2], as.integer(arguments[3]), as.integer(arguments[4]))
} else {
  quit(status = start_two(directory))
}
