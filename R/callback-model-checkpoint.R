#' Save checkpoints of a model during training
#'
#' @description
#' A callback for `fit()` that writes the model, or only its weights, to disk while
#' training runs, so that you can use the model later or carry training on from the saved
#' state. It takes the place of the callback of the same name in keras3: the first eight
#' arguments have the same names, order, defaults and meaning. In addition:
#'
#' - A file is published whole or not at all: whatever happens during a save, the file
#'   that was there before stays whole.
#' - Every file says which epoch, metrics and random state it holds, so that
#'   [list_checkpoints()], [best_checkpoint()] and [verify_checkpoint()] can judge it and
#'   `resume = TRUE` can carry on from it.
#' - Files can be written while training goes on, limited to the best or the latest ones,
#'   and saved when training is interrupted.
#'
#' You choose:
#'
#' - whether to keep each state or only the best one so far;
#' - what "best" means: which metric to watch, and whether a lower or a higher value is
#'   better;
#' - how often to save: each epoch, every so many batches, every so many minutes, or as
#'   often as a share of the training time allows;
#' - whether a file holds the whole model (architecture, weights, optimizer) or only the
#'   weights and the optimizer's state.
#'
#' All arguments are checked when the callback is made; most of them before Python starts.
#'
#' @param filepath A string, [fs::path()] or URL: where to save. It ends in `".keras"` for
#'   whole models (the legacy `".h5"` is possible too). With `save_weights_only = TRUE` it
#'   ends in `".weights.h5"`. A path that ends in `".orbax"` is a directory in Orbax's
#'   format, for models that are spread over several machines; as a URL it must begin
#'   with `gs://`, because Orbax itself writes to no other.
#'
#'   Each save fills in the placeholders in braces: `{epoch}` (counted from 1), `{batch}`
#'   (within the epoch, from 1), `{step}` (batches since training began) and every metric
#'   by its name, each with any format that Python knows. A file of the template
#'   `"{epoch:02d}-{val_loss:.2f}.keras"` is named after its epoch, in two digits, and its
#'   validation loss, with two decimals. Without placeholders each save replaces
#'   the previous file. Write a brace that belongs to a name twice.
#'
#'   A leading `~` is expanded, a relative path is fixed when the callback is made, and
#'   missing directories are created. A URL such as `"s3://bucket/run/{epoch:02d}.keras"`
#'   goes to whatever Python's fsspec serves. Do not let another callback write into the
#'   directory of `filepath`.
#' @param monitor A string: the metric that says how good a model is. Metrics are those
#'   named in [compile()].
#'   - `"loss"` is the total training loss, `"val_loss"` the total validation loss.
#'   - Put `"val_"` in front of a metric's name to watch it on validation data.
#'   - A metric that was given to `compile()` as a string, like `"accuracy"`, has that
#'     string as its name.
#'   - A metric that was given as an object (of one of keras3's `metric_*()`) has the name
#'     in `metric$name`.
#'   - A model with several outputs puts the output's name and `_` in front.
#'   - If in doubt, look at `names(history$metrics)` after `history <- model |> fit(...)`.
#' @param verbose `0` (or `FALSE`) for silence, `1` (or `TRUE`) for a message whenever the
#'   callback does something: which epoch, which metric, from what to what, and the path.
#' @param save_best_only `TRUE`: save only when the model is better than every one before,
#'   by `monitor`. A worse model never overwrites the best file. Without placeholders in
#'   `filepath`, each better model replaces the one before.
#' @param save_weights_only `TRUE`: save the weights and the optimizer's state, as
#'   [save_model_weights()] does. `FALSE`: save the whole model, as [save_model()] does.
#' @param mode `"auto"`, `"min"` or `"max"`, in upper or lower case: whether a lower or a
#'   higher value of `monitor` is better. `"max"` suits `"val_accuracy"`, `"min"` suits
#'   `"val_loss"`. `"auto"` asks the compiled metric itself, where Keras knows its
#'   direction, and otherwise goes by the name without `"val_"` and the prefix of an
#'   output: losses are minimised; `"acc"`, `"accuracy"`, names that start with
#'   `"fmeasure"` and the usual scores (AUC, precision, recall, F1, IoU, R2) are
#'   maximised; anything else is minimised, with a warning that says so.
#' @param save_freq How often to save.
#'   - `"epoch"`: at the end of each epoch, after its validation.
#'   - A whole number: after every so many batches, counted over all epochs. If the model
#'     was compiled with `steps_per_execution`, at the first chance at or after each
#'     multiple.
#'   - A [difftime][base::difftime], such as `as.difftime(10, units = "mins")`: at the
#'     first batch that ends after so much time.
#'   - A share of the training time, such as `"2%"`: as often as the measured cost of all
#'     saves stays below it.
#'   - A function of `epoch`, `batch` and `logs` that returns `TRUE` to save and `FALSE`
#'     not to. It is asked at the end of each batch and epoch. `epoch` and `batch` count
#'     from 1; at the end of an epoch `batch` is `NULL`. `logs` is a named list of metrics.
#'
#'   Metrics are less reliable in the middle of an epoch: they start again with each epoch,
#'   so they may cover only a single batch, and there is no validation. Whatever is still
#'   unsaved is saved when training ends.
#' @param initial_value_threshold `NULL`, or a number: the value of `monitor` that the
#'   first model must beat to count as best. With `save_best_only = TRUE` an existing file
#'   stays until a model is better than this value. Without `save_best_only` and
#'   `keep_best` it decides only what counts as best.
#' @param ... Must be empty. Give the arguments that follow by name.
#' @param keep_best `NULL`, or a whole number: how many of the best files to keep, by
#'   `monitor`.
#' @param keep_last `NULL`, or a whole number: how many of the latest files to keep. With
#'   `keep_best` as well, a file stays if either rule keeps it. Only files of this run, or
#'   of the run that it resumes, are ever deleted, and never the best or the newest one.
#' @param min_delta A number, 0 or larger: the smallest change of `monitor` that counts as
#'   an improvement.
#' @param save_on_background `TRUE`: training goes on while the file is written. The file
#'   holds the state at the time of the save. Under reticulate 1.28, Python's threads do
#'   not run while R code runs, so a file may appear later; it is complete when `fit()`
#'   returns. No accepted file is lost when the R session ends.
#' @param resume `TRUE`: before training starts, restore the newest usable checkpoint of
#'   `filepath` (weights, optimizer, metrics, random state) and carry on from its epoch
#'   and batch, up to the `epochs` of `fit()`. Without a checkpoint training starts from
#'   the beginning.
#' @param save_on_interrupt `TRUE`: on an interrupt (Ctrl-C, Esc) or SIGTERM, finish the
#'   current batch, save a checkpoint, and let `fit()` return normally. Or the names of the
#'   signals to do so for, such as `c("SIGTERM", "SIGUSR1")`.
#' @param on_save_error What to do when a file could not be written: `"raise"` ends
#'   training with an error; `"warn"` warns, and training goes on.
#' @param storage_options `NULL`, or a named list: options for fsspec (endpoint,
#'   credentials ...) where `filepath` is a URL.
#' @param after_save `NULL`, or a function of one argument, called once a file is safely on
#'   disk with a [checkpoint_list][list_checkpoints()] of one row: the place for uploads
#'   and notifications. An error in it counts as a failed save.
#'
#' @returns A callback for the `callbacks` of `fit()`: a Python object of class
#'   `kerascheckpoint.callback.ModelCheckpoint`. Besides its arguments it has `$best` (the
#'   best value so far, or `NULL`), `$best_filepath` and `$last_filepath` (or `NULL`),
#'   `$interrupted` (whether a signal ended the last `fit()`), and `$wait()`, which returns
#'   when every accepted file is safely on disk and raises what went wrong in the
#'   background.
#'
#' @section Errors:
#' A refused argument is a `kerascheckpoint_argument_error` that names the argument, what
#' it was given and what it takes. Without a Python that has Keras 3 you get a
#' `kerascheckpoint_python_error`. During training, a file that could not be written is a
#' `kerascheckpoint_write_error` in this package's own `fit()`; keras3's `fit()` passes on
#' Python's error as it is. Warnings have the class `kerascheckpoint_warning`. With
#' `tryCatch(warning = )` around `fit()`, the handler gets the warning once Python has
#' ended training.
#'
#' @section Epochs in R:
#' The `epoch` of a checkpoint is the number of epochs completed when it was saved. Since
#' `initial_epoch` counts from 1 in R, carry on by hand with `initial_epoch = epoch + 1`;
#' `resume = TRUE` does so by itself.
#'
#' @section Random numbers:
#' R's own `.Random.seed` is part of every checkpoint, beside the random state of Keras,
#' its backend, NumPy and Python. With `resume = TRUE` an R generator that calls
#' [sample()] goes on where it stopped.
#'
#' @seealso
#' [list_checkpoints()], [best_checkpoint()], [verify_checkpoint()] and
#' [restore_checkpoint()] for what a callback has left on disk; [save_model()] and
#' [load_model()] for saving by hand. `vignette("checkpoints-you-can-trust")` goes through
#' a run and its restart. Keras' own callback is described at
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
                                      on_save_error = c("raise", "warn"),
                                      storage_options = NULL,
                                      after_save = NULL) {
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
    save_on_interrupt = check_save_on_interrupt(save_on_interrupt),
    on_save_error = check_on_save_error(on_save_error),
    storage_options = check_storage_options(storage_options, filepath),
    after_save = check_after_save(after_save)
  )
  new_model_checkpoint(arguments)
}

# From here on there is a Python.
new_model_checkpoint <- function(arguments, call = rlang::caller_env()) {
  start_python(call)
  arguments <- as_python_arguments(arguments)
  package <- core(call = call)
  keras(call = call)
  callback <- with_python_conditions(
    do.call(package$ModelCheckpoint, arguments),
    refusals = c("ValueError", "TypeError", "IsADirectoryError", "NotADirectoryError"),
    call = call
  )
  if (arguments$save_on_background) {
    finish_writing_at_exit()
  }
  callback
}

# What R's types alone do not say to Python.
as_python_arguments <- function(arguments) {
  convert <- function(name, condition, conversion) {
    if (condition(arguments[[name]])) {
      arguments[[name]] <<- conversion(arguments[[name]])
    }
  }
  convert("save_freq", function(value) inherits(value, "seconds"), function(seconds) {
    datetime <- reticulate::import("datetime", convert = FALSE)
    datetime$timedelta(seconds = unclass(seconds))
  })
  convert("save_freq", is.function, save_freq_function)
  convert("save_on_interrupt", is.character, function(names) reticulate::tuple(as.list(names)))
  convert("storage_options", is.list, as_dict)
  convert("after_save", is.function, after_save_function)
  arguments
}
