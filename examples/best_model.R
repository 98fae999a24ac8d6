# Keep the three best models of a run and the newest, then load the best one.
# Usage: Rscript examples/best_model.R [DIRECTORY]

library(kerascheckpoint)

arguments <- commandArgs(trailingOnly = TRUE)
run <- if (length(arguments) > 0) arguments[1] else tempfile("run-")

reticulate::import("keras")$utils$set_random_seed(1L)
set.seed(1)
x <- matrix(rnorm(300 * 8), 300)
y <- as.matrix(sin(x[, 1]) + x[, 2] * x[, 3] + rnorm(300, sd = .5))

model <- keras_model_sequential(input_shape = 8) |>
  layer_dense(64, activation = "relu") |>
  layer_dense(1) |>
  compile(optimizer = "adam", loss = "mse")

checkpoint <- callback_model_checkpoint(
  file.path(run, "{epoch:02d}-{val_loss:.3f}.keras"),
  keep_best = 3, keep_last = 1
)
history <- model |> fit(
  x, y,
  epochs = 15, validation_split = .25, verbose = 0, callbacks = list(checkpoint)
)

print(list_checkpoints(run))

best <- load_model(best_checkpoint(run))
loss <- evaluate(best, x[226:300, ], y[226:300, , drop = FALSE], verbose = 0)
cat("val_loss of the best model:", unlist(loss), "\n")
