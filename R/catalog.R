#' Find checkpoints and look at what they hold
#'
#' `list_checkpoints()` lists what a run has left on disk, `latest_checkpoint()`
#' and `best_checkpoint()` pick one file, `verify_checkpoint()` reads every stored
#' array of a file and compares it with the checksums that were made when it was
#' written. None of them loads a model or starts TensorFlow, JAX or PyTorch.
#'
#' A file that this package did not write is listed with what can be known
#' without guessing (`NA` for the rest) and is never taken for the best. Files
#' that are not finished, and files that are no checkpoints, are passed over. One
#' that has a checkpoint's suffix but cannot be read is named in a warning;
#' `latest_checkpoint()` and `best_checkpoint()` check the file they would return
#' and step back to the one before it if it is damaged, with a warning.
#'
#' @param filepath A string or [fs::path()]: a directory, a template such as
#'   `"run/{epoch:02d}-{val_loss:.2f}.keras"`, or one file.
#' @param monitor `NULL`, or a string: the metric that decides which file is best.
#'   `NULL` for the one that the files themselves were monitored by.
#' @param mode `NULL`, or `"min"` or `"max"`: is less or more of `monitor` better?
#'   `NULL` for what the files say.
#' @param path A string or [fs::path()]: one checkpoint file.
#'
#' @returns
#' `list_checkpoints()` and `verify_checkpoint()`: a data frame of class
#' `checkpoint_list`, with one row per file, oldest first (by when the state was
#' saved, never by name), and these columns. They have methods for [print()],
#' [summary()] and [plot()][plot.checkpoint_list()].
#' \describe{
#'   \item{`path`}{absolute path}
#'   \item{`epoch`}{epochs completed when it was saved; training by hand carries
#'     on with `initial_epoch = epoch + 1`}
#'   \item{`batch`}{batches done in the unfinished epoch, 0 at an epoch's end}
#'   \item{`step`}{batches done in the whole run (a double, for long runs)}
#'   \item{`monitor`, `mode`, `value`}{the monitored metric, `"min"` or `"max"`,
#'     and its value}
#'   \item{`best`}{whether it was the best so far when it was saved}
#'   \item{`reason`}{why it was saved: `"epoch"`, `"batch"`, `"time"`,
#'     `"interrupt"` or `"train_end"`}
#'   \item{`saved_at`}{when, as a POSIXct in UTC}
#'   \item{`size`}{in bytes (a double)}
#'   \item{`weights_only`}{`TRUE` for weights, `FALSE` for a whole model}
#'   \item{`keras_version`, `backend`}{what wrote it}
#'   \item{`schema`}{number of the record's format}
#'   \item{...}{one column per metric, named like the metric; `metric_<name>`
#'     where that name is taken}
#' }
#' `latest_checkpoint()` and `best_checkpoint()`: the path of a file, or `NULL`
#' if there is none.
#'
#' @section Errors:
#' `verify_checkpoint()` raises a `kerascheckpoint_corrupt_error` that says what is
#' wrong with a file, and a `kerascheckpoint_not_found_error` if there is none. A
#' file of a newer version of this package is a `kerascheckpoint_schema_error`.
#' `best_checkpoint()` raises a `kerascheckpoint_value_error` if neither `mode` nor
#' the files say whether less or more of `monitor` is better.
#' All are `kerascheckpoint_error`s.
#'
#' @seealso [restore_checkpoint()] to put a checkpoint back into a model;
#'   [callback_model_checkpoint()] for what writes them.
#' @examplesIf kerascheckpoint:::keras_is_available()
#' run <- tempfile("run-")
#' model <- keras_model_sequential(input_shape = 10) |>
#'   layer_dense(1) |>
#'   compile(loss = "mse", optimizer = "adam")
#' saving <- callback_model_checkpoint(
#'   file.path(run, "{epoch:02d}-{val_loss:.3f}.keras"),
#'   save_best_only = TRUE
#' )
#' model |> fit(random_uniform(c(64, 10)), random_uniform(c(64, 1)), epochs = 3,
#'              validation_split = .25, verbose = 0, callbacks = list(saving))
#'
#' checkpoints <- list_checkpoints(run)
#' checkpoints
#' summary(checkpoints)
#' best_checkpoint(run)
#' verify_checkpoint(latest_checkpoint(run))$epoch
#' @export
list_checkpoints <- function(filepath) {
  path <- check_location(missing(filepath), filepath)
  finish_writing()
  found <- with_python_conditions(core(convert = FALSE)$list_checkpoints(path))
  new_checkpoint_list(found)
}

#' @rdname list_checkpoints
#' @export
latest_checkpoint <- function(filepath) {
  path <- check_location(missing(filepath), filepath)
  finish_writing()
  with_python_conditions(core()$latest_checkpoint(path))$path
}

#' @rdname list_checkpoints
#' @export
best_checkpoint <- function(filepath, monitor = NULL, mode = NULL) {
  path <- check_location(missing(filepath), filepath)
  if (!is.null(monitor)) {
    monitor <- check_string(monitor, "monitor")
  }
  if (!is.null(mode)) {
    mode <- check_choice(mode, "mode", c("min", "max"))
  }
  finish_writing()
  with_python_conditions(
    core()$best_checkpoint(path, monitor = monitor, mode = mode)
  )$path
}

#' @rdname list_checkpoints
#' @export
verify_checkpoint <- function(path) {
  check_present(missing(path), "path", "the path of a checkpoint")
  path <- check_file(path)
  finish_writing()
  info <- with_python_conditions(core(convert = FALSE)$verify_checkpoint(path))
  new_checkpoint_list(list(info))
}

# A directory, a template or a file. What exists under its name as it stands is
# taken as it stands; only otherwise are braces placeholders.
check_location <- function(is_missing, filepath, call = rlang::caller_env()) {
  accepted <- "a directory, a template or a file, as a string or an fs::path"
  check_present(is_missing, "filepath", accepted, call)
  path <- check_file(filepath, "filepath", call)
  if (file.exists(path)) {
    return(path)
  }
  check_braces(filepath, call)
  absolute_path(filepath, template = TRUE)
}

check_file <- function(path, argument = "path", call = rlang::caller_env()) {
  if (!checkmate::test_string(path, min.chars = 1L)) {
    abort_argument(argument, path, "one path, as a string or an fs::path", call = call)
  }
  check_mounted(path, argument, call)
  absolute_path(path)
}
