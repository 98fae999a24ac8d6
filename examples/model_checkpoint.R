# The example of ?callback_model_checkpoint on a real model, and a look at what was saved.
# Run it with `make example`.

library(kerascheckpoint)

say <- function(text) cat("\n", text, "\n\n", sep = "")

model <- keras_model_sequential(input_shape = c(10)) |>
  layer_dense(1, activation = "sigmoid") |>
  compile(loss = "binary_crossentropy", optimizer = "adam", metrics = c("accuracy"))

say("1. Whole models: the best one by its validation accuracy, kept while the model trains.")
checkpoint_filepath <- file.path(tempfile("whole-models-"), "best.keras")
model_checkpoint_callback <- callback_model_checkpoint(
  filepath = checkpoint_filepath,
  monitor = "val_accuracy",
  mode = "max",
  save_best_only = TRUE
)
history <- model |> fit(
  x = random_uniform(c(2, 10)), y = op_ones(c(2, 1)),
  epochs = 10, validation_split = .5, verbose = 0,
  callbacks = list(model_checkpoint_callback)
)
print(history)
print(list_checkpoints(checkpoint_filepath))

say("load_model() brings it back, optimizer and all:")
print(load_model(checkpoint_filepath))

say("2. Weights only, after every epoch, for a model that the script builds by itself.")
checkpoint_filepath <- file.path(tempfile("weights-"), "epoch-{epoch:02d}.weights.h5")
model_checkpoint_callback <- callback_model_checkpoint(
  filepath = checkpoint_filepath,
  save_weights_only = TRUE,
  monitor = "val_loss"
)
history <- model |> fit(
  x = random_uniform(c(64, 10)), y = op_ones(c(64, 1)),
  epochs = 10, validation_split = .5, verbose = 0,
  callbacks = list(model_checkpoint_callback)
)
print(history)
print(list_checkpoints(checkpoint_filepath))

best_weights <- best_checkpoint(checkpoint_filepath)
say(paste0("load_model_weights() puts ", basename(best_weights), " back into the model:"))
model |> load_model_weights(best_weights)
print(evaluate(model, random_uniform(c(64, 10)), op_ones(c(64, 1)), verbose = 0))
