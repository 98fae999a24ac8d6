# Train with checkpoints in an S3 bucket, then go on from the newest one in a new process.
# Usage: Rscript examples/s3.R s3://BUCKET/PREFIX [EPOCHS]    (Python needs the package s3fs)
#
# Without options of its own, s3fs reads the credentials from the environment, as every AWS tool
# does. S3_ENDPOINT_URL names another server than Amazon's, such as MinIO or SeaweedFS.

library(kerascheckpoint)

arguments <- commandArgs(trailingOnly = TRUE)
run <- sub("/$", "", arguments[1])
epochs <- if (length(arguments) > 1) as.integer(arguments[2]) else 3
endpoint <- Sys.getenv("S3_ENDPOINT_URL")
options <- if (nzchar(endpoint)) list(endpoint_url = endpoint)

reticulate::import("keras")$utils$set_random_seed(1L)
set.seed(1)
x <- matrix(rnorm(200 * 8), 200)
y <- as.matrix(rowSums(x))
model <- keras_model_sequential(input_shape = 8) |>
  layer_dense(16) |>
  layer_dense(1) |>
  compile(optimizer = "adam", loss = "mse")

checkpoint <- callback_model_checkpoint(
  paste0(run, "/{epoch:02d}.keras"),
  keep_best = 2, keep_last = 1,
  resume = TRUE, # from the bucket, if there is something in it
  save_on_background = TRUE, # training goes on during the upload
  storage_options = options
)
history <- model |> fit(
  x, y,
  epochs = epochs, validation_split = .2, verbose = 0, callbacks = list(checkpoint)
)
cat("this history has", length(history$metrics$loss), "epochs\n")

print(list_checkpoints(run, storage_options = options))

best <- best_checkpoint(run, storage_options = options)
verify_checkpoint(best, storage_options = options) # on what the bucket returns
restore_checkpoint(model, best, storage_options = options)
cat("the model is that of", best, "\n")
