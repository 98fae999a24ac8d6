#' Save checkpoints of a model during training
#'
#' @description
#' A callback for `fit()` that writes the model, or only its weights, to disk
#' while training runs, so that the model can be used later or training carried
#' on from the state that was saved. It takes the place of the callback of the
#' same name in keras3: the first eight arguments have the same names, order,
#' defaults and meaning. What it adds:
#'
#' - a file is published whole or not at all: whatever happens during a save, the
#'   file that was there before stays whole;
#' - every file says which epoch, metrics and random state it holds, so that
#'   [list_checkpoints()], [best_checkpoint()] and [verify_checkpoint()] can
#'   judge it and `resume = TRUE` can carry on from it;
#' - files can be written while training goes on, limited to the best or the
#'   latest ones, and saved when training is interrupted.
#'
#' With it you decide
#'
#' - whether each state is kept or only the best one so far;
#' - what "best" means: which metric is watched, and whether more or less of it is
#'   better;
#' - how often to save: each epoch, every so many batches, or every so many
#'   minutes;
#' - whether a file holds the whole model (architecture, weights, optimizer) or
#'   the weights and the optimizer's state only.
#'
#' All arguments are checked when the callback is made, before Python is started.
#'
#' @param filepath A string or [fs::path()]: where to save. It must end in
#'   `".keras"` for whole models (the legacy `".h5"` is possible too), and in
#'   `".weights.h5"` with `save_weights_only = TRUE`.
#'
#'   Named formatting options in braces are filled at each save: `{epoch}`
#'   (counted from 1), `{batch}` (within the epoch, from 1), `{step}` (batches
#'   since training began) and every metric by its name, each with any format
#'   that Python knows. With `"{epoch:02d}-{val_loss:.2f}.keras"` a file is named
#'   after its epoch, in two digits, and its validation loss, with two decimals.
#'   Without such options each save replaces the file before it. A brace that
#'   belongs to a name is written twice.
#'
#'   A leading `~` is expanded, a relative path is fixed when the callback is
#'   made, and missing directories are created. The directory of `filepath`
#'   should not be reused by any other callback, so that one does not overwrite
#'   or list the files of another.
#' @param monitor A string: the metric that says how good a model is. Metrics are
#'   those named in [compile()].
#'   - `"loss"` is the total training loss, `"val_loss"` the total loss on the
#'     validation data.
#'   - Put `"val_"` in front of a metric's name to watch it on validation data.
#'   - A metric that was given to `compile()` as a string, like `"accuracy"`, has
#'     that string as its name.
#'   - A metric that was given as an object (of one of keras3's `metric_*()`) has
#'     the name in `metric$name`.
#'   - A model with several outputs puts the output's name and `_` in front.
#'   - In doubt, look at `names(history$metrics)` after
#'     `history <- model |> fit(...)`.
#' @param verbose `0` (or `FALSE`) for silence, `1` (or `TRUE`) for a message
#'   whenever the callback does something: which epoch, which metric, from what to
#'   what, and the path.
#' @param save_best_only `TRUE`: save only when the model is better than every
#'   one before, by `monitor`; the best file is not overwritten by a worse model.
#'   If `filepath` has no formatting options, each better model replaces the one
#'   before.
#' @param save_weights_only `TRUE`: the file holds the weights (and the
#'   optimizer's state), as [save_model_weights()] writes them; `FALSE`: the whole
#'   model, as [save_model()] does.
#' @param mode `"auto"`, `"min"` or `"max"`, in upper or lower case: is less or
#'   more of `monitor` better? `"max"` suits `"val_accuracy"`, `"min"` suits
#'   `"val_loss"`. `"auto"` asks the compiled metric itself, where Keras knows its
#'   direction. Else it goes by the name, without `"val_"` and an output's prefix:
#'   losses are minimised; `"acc"`, `"accuracy"`, names that start with
#'   `"fmeasure"` and the usual scores (AUC, precision, recall, F1, IoU, R2) are
#'   maximised; anything else is minimised, with a warning that says so.
#' @param save_freq How often to save.
#'   - `"epoch"`: at the end of each epoch, after its validation.
#'   - A whole number: each time so many batches have been trained, counted over
#'     all epochs. If the model was compiled with `steps_per_execution`, at the
#'     first chance at or after each multiple.
#'   - A [difftime][base::difftime], such as `as.difftime(10, units = "mins")`: at
#'     the first batch that ends after so much time.
#'
#'   Between the ends of epochs, metrics are less reliable: they are reset at
#'   each epoch's start, so they may stand for as little as one batch, and there
#'   is no validation. What such a rhythm leaves unsaved is saved when training
#'   ends.
#' @param initial_value_threshold `NULL`, or a number: the value of `monitor`
#'   that the first model must beat to count as best. With `save_best_only = TRUE`
#'   a file that is there already stays until a model is better than this value.
#'   Without `save_best_only` or `keep_best` it decides nothing but what counts as
#'   best.
#' @param ... Must be empty. What follows is given by name.
#' @param keep_best `NULL`, or a whole number: keep only so many of the best
#'   files, by `monitor`.
#' @param keep_last `NULL`, or a whole number: keep only so many of the latest
#'   files. With `keep_best` as well, a file stays if either rule keeps it. Only
#'   files that this run (or the run it resumes) wrote are ever deleted, never
#'   the best or the newest one.
#' @param min_delta A number, 0 or larger: a smaller change of `monitor` than
#'   this is no improvement.
#' @param save_on_background `TRUE`: training goes on while the file is written.
#'   The file holds the state at the instant of the save. Under reticulate 1.28
#'   Python's threads rest while R code runs; a file may then take longer to
#'   appear, but it is complete when `fit()` returns, and no accepted file is
#'   lost when the R session ends.
#' @param resume `TRUE`: before training starts, restore the newest usable
#'   checkpoint of `filepath` (weights, optimizer, metrics, random state) and
#'   carry on from its epoch and batch, up to `epochs` of `fit()`. With no
#'   checkpoint there, training starts afresh.
#' @param save_on_interrupt `TRUE`: on an interrupt (Ctrl-C, Esc) or SIGTERM the
#'   batch in hand is finished, a checkpoint saved, and `fit()` returns normally.
#' @param on_save_error What happens when a file could not be written:
#'   `"raise"` ends training with an error; `"warn"` warns and training goes on.
#'
#' @returns A callback: a Python object of class
#'   `kerascheckpoint.callback.ModelCheckpoint`, to be given to `fit()` in its list
#'   of `callbacks`. Besides its arguments it has `$best` (the best value so far,
#'   or `NULL`), `$best_filepath` and `$last_filepath` (or `NULL`), and
#'   `$wait()`, which returns when every file accepted so far is safely on disk
#'   and raises what went wrong in the background.
#'
#' @section Errors:
#' An argument that cannot be used is a `kerascheckpoint_argument_error` which
#' names the argument, what it was given and what it takes. Without a Python that
#' has Keras 3: a `kerascheckpoint_python_error`. During training, a file that
#' could not be written is a `kerascheckpoint_write_error` in this package's own
#' `fit()`; keras3's `fit()` passes on the error of Python as it is. Warnings
#' have the class `kerascheckpoint_warning`.
#'
#' @section Epochs in R:
#' The `epoch` of a checkpoint is the number of epochs completed when it was
#' saved. Since `initial_epoch` counts from 1 in R, training by hand carries on
#' with `initial_epoch = epoch + 1`; `resume = TRUE` sees to this by itself.
#'
#' @seealso
#' [list_checkpoints()], [best_checkpoint()], [verify_checkpoint()] and
#' [restore_checkpoint()] for what a callback has left on disk;
#' [save_model()] and [load_model()] for saving by hand.
#' `vignette("checkpoints-you-can-trust")` goes through a run and its restart.
#' Keras' own callback is described at
#' <https://keras.io/api/callbacks/model_checkpoint/>.
#'
#' @examplesIf kerascheckpoint:::keras_is_available()
#' model <- keras_model_sequential(input_shape = c(10)) |>
#'   layer_dense(1, activation = "sigmoid") |>
#'   compile(loss = "binary_crossentropy", optimizer = "adam",
#'           metrics = c("accuracy"))
#'
#' # Whole models: each one that beats all before, by its validation accuracy.
#' checkpoint_filepath <- tempfile("checkpoint-model-", fileext = ".keras")
#' model_checkpoint_callback <- callback_model_checkpoint(
#'   filepath = checkpoint_filepath,
#'   monitor = "val_accuracy",
#'   mode = "max",
#'   save_best_only = TRUE
#' )
#' model |> fit(x = random_uniform(c(2, 10)), y = op_ones(c(2, 1)),
#'              epochs = 10, validation_split = .5, verbose = 0,
#'              callbacks = list(model_checkpoint_callback))
#'
#' # The best model, read back:
#' load_model(checkpoint_filepath)
#'
#' # Only the weights, for a model that the script builds by itself.
#' checkpoint_filepath <- tempfile("checkpoint-", fileext = ".weights.h5")
#' model_checkpoint_callback <- callback_model_checkpoint(
#'   filepath = checkpoint_filepath,
#'   save_weights_only = TRUE,
#'   monitor = "val_accuracy",
#'   mode = "max",
#'   save_best_only = TRUE
#' )
#' model |> fit(x = random_uniform(c(2, 10)), y = op_ones(c(2, 1)),
#'              epochs = 10, validation_split = .5, verbose = 0,
#'              callbacks = list(model_checkpoint_callback))
#'
#' # The best weights, back into the model:
#' model |> load_model_weights(checkpoint_filepath)
#' @export
callback_model_checkpoint <- function(filepath,
                                      monitor = "val_loss",
                                      verbose = 0L,
                                      save_best_only = FALSE,
                                      save_weights_only = FALSE,
                                      mode = "auto",
                                      save_freq = "epoch",
                                      initial_value_threshold = NULL,
                                      ...,
                                      keep_best = NULL,
                                      keep_last = NULL,
                                      min_delta = 0,
                                      save_on_background = FALSE,
                                      resume = FALSE,
                                      save_on_interrupt = FALSE,
                                      on_save_error = c("raise", "warn")) {
  check_no_more_arguments(...)
  check_present(missing(filepath), "filepath", "the path to save to, as a string or an fs::path")
  save_weights_only <- check_flag(save_weights_only, "save_weights_only")
  resume <- check_flag(resume, "resume")
  arguments <- list(
    filepath = check_filepath(filepath, save_weights_only, resume),
    monitor = check_string(monitor, "monitor"),
    verbose = check_verbose(verbose),
    save_best_only = check_flag(save_best_only, "save_best_only"),
    save_weights_only = save_weights_only,
    mode = check_choice(mode, "mode", c("auto", "min", "max")),
    save_freq = check_save_freq(save_freq),
    initial_value_threshold = check_initial_value_threshold(initial_value_threshold),
    keep_best = check_whole(keep_best, "keep_best", lower = 1L, null_ok = TRUE),
    keep_last = check_whole(keep_last, "keep_last", lower = 1L, null_ok = TRUE),
    min_delta = check_min_delta(min_delta),
    save_on_background = check_flag(save_on_background, "save_on_background"),
    resume = resume,
    save_on_interrupt = check_flag(save_on_interrupt, "save_on_interrupt"),
    on_save_error = check_on_save_error(on_save_error)
  )
  new_model_checkpoint(arguments)
}

# From here on there is a Python.
new_model_checkpoint <- function(arguments, call = rlang::caller_env()) {
  if (inherits(arguments$save_freq, "seconds")) {
    start_python(call)
    datetime <- reticulate::import("datetime", convert = FALSE)
    arguments$save_freq <- datetime$timedelta(seconds = unclass(arguments$save_freq))
  }
  package <- core(call = call)
  keras(call = call)
  callback <- with_python_conditions(
    do.call(package$ModelCheckpoint, arguments),
    refusals = c("ValueError", "TypeError"),
    call = call
  )
  if (arguments$save_on_background) {
    finish_writing_at_exit()
  }
  callback
}
