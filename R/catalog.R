#' Find checkpoints and look at what they hold
#'
#' `list_checkpoints()` lists the checkpoints of one run or of several.
#' `latest_checkpoint()` and `best_checkpoint()` pick one file. `verify_checkpoint()` reads
#' every stored array of a file and compares it with the checksums that were made when the
#' file was written. None of them loads a model or starts TensorFlow, JAX or PyTorch.
#'
#' A file that this package did not write is listed with what can be known without
#' guessing (`NA` for the rest) and is never the best. Unfinished files and files that are
#' no checkpoints are passed over. A warning names files that have a checkpoint's suffix
#' but cannot be read. `latest_checkpoint()` and `best_checkpoint()` check the file before
#' they return it; if it is damaged, they warn and take the next one.
#'
#' @param filepath A string, [fs::path()] or URL: a directory, a template such as
#'   `"run/{epoch:02d}-{val_loss:.2f}.keras"`, or one file. `list_checkpoints()` also takes
#'   several of them, one for each run; their names, if they have any, name the runs.
#' @param monitor `NULL`, or a string: the metric that decides which file is best. `NULL`
#'   takes the metric that the files themselves monitored.
#' @param mode `NULL`, `"min"` or `"max"`: whether a lower or a higher value of `monitor`
#'   is better. `NULL` takes what the files say.
#' @param path A string, [fs::path()] or URL: one checkpoint.
#' @param storage_options `NULL`, or a named list: options for fsspec (endpoint,
#'   credentials ...) where the place is a URL.
#'
#' @returns
#' `list_checkpoints()` and `verify_checkpoint()` return a data frame of class
#' `checkpoint_list` with one row per file, oldest first (by the time of the save, never
#' by name). It has methods for [print()], [summary()], [plot()][plot.checkpoint_list()],
#' [rbind()] and [as.data.frame()], and stays a `checkpoint_list` in dplyr's verbs. Its
#' columns:
#' \describe{
#'   \item{`run`}{the run, only if `filepath` names several: each run's files follow each
#'     other}
#'   \item{`path`}{absolute path}
#'   \item{`epoch`}{epochs completed when the file was saved; to carry on by hand, use
#'     `initial_epoch = epoch + 1`}
#'   \item{`batch`}{batches done in the unfinished epoch, 0 at an epoch's end}
#'   \item{`step`}{batches done in the whole run (a double, for long runs)}
#'   \item{`monitor`, `mode`, `value`}{the monitored metric, `"min"` or `"max"`, and its
#'     value}
#'   \item{`best`}{whether it was the best so far when it was saved}
#'   \item{`reason`}{why it was saved: `"epoch"`, `"batch"`, `"time"`, `"interrupt"` or
#'     `"train_end"`}
#'   \item{`saved_at`}{when it was saved, a POSIXct in UTC}
#'   \item{`size`}{in bytes (a double)}
#'   \item{`weights_only`}{`TRUE` for weights, `FALSE` for a whole model}
#'   \item{`keras_version`, `backend`}{the Keras and the backend that wrote it}
#'   \item{`schema`}{number of the record's format}
#'   \item{...}{one column for each metric, with the metric's name, or `metric_<name>`
#'     where that name is taken}
#' }
#' `latest_checkpoint()` and `best_checkpoint()` return the path of a file, or `NULL` if
#' there is none.
#'
#' @section Errors:
#' `verify_checkpoint()` raises a `kerascheckpoint_corrupt_error` that says what is wrong
#' with a file, and a `kerascheckpoint_not_found_error` if there is none. A file from a
#' newer version of this package is a `kerascheckpoint_schema_error`. `best_checkpoint()`
#' raises a `kerascheckpoint_value_error` if neither `mode` nor the files say which
#' direction is better. All of them are `kerascheckpoint_error`s.
#'
#' @seealso [restore_checkpoint()] to put a checkpoint back into a model;
#'   [callback_model_checkpoint()] for the callback that writes checkpoints.
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
list_checkpoints <- function(filepath, storage_options = NULL) {
  check_present(missing(filepath), "filepath", accepted_locations)
  if (!is.character(filepath) || length(filepath) < 2L) {
    return(list_run(check_location(FALSE, filepath), storage_options))
  }
  runs <- run_names(filepath)
  locations <- lapply(filepath, function(location) check_location(FALSE, location))
  list_runs(locations, runs, storage_options)
}

list_run <- function(location, storage_options, call = rlang::caller_env()) {
  new_checkpoint_list(
    call_on_files("list_checkpoints", location, storage_options = storage_options, call = call)
  )
}

# One list below the other, with the run of each row in a column in front.
list_runs <- function(locations, runs, storage_options, call = rlang::caller_env()) {
  lists <- lapply(locations, list_run, storage_options, call = call)
  run <- rep(runs, vapply(lists, nrow, 1L))
  bound <- do.call(rbind, lists)
  as_checkpoint_list(cbind(run = run, as.data.frame(bound)))
}

# The names that the user gave, or what tells the places apart.
run_names <- function(filepath, call = rlang::caller_env()) {
  given <- names(filepath)
  if (is.null(given)) {
    paths <- sub("/+$", "", as.character(filepath))
    given <- within_directory(paths, common_directory(paths))
  }
  if (anyDuplicated(given) || anyNA(given) || !all(nzchar(given))) {
    abort_argument(
      "filepath", filepath, "a different place, and a different name if any, for each run",
      headline = "`filepath` does not tell its runs apart.", call = call
    )
  }
  given
}

#' @rdname list_checkpoints
#' @export
latest_checkpoint <- function(filepath, storage_options = NULL) {
  path <- check_location(missing(filepath), filepath)
  call_on_files(
    "latest_checkpoint", path,
    storage_options = storage_options, convert = TRUE
  )$path
}

#' @rdname list_checkpoints
#' @export
best_checkpoint <- function(filepath, monitor = NULL, mode = NULL, storage_options = NULL) {
  path <- check_location(missing(filepath), filepath)
  if (!is.null(monitor)) {
    monitor <- check_string(monitor, "monitor")
  }
  if (!is.null(mode)) {
    mode <- check_choice(mode, "mode", c("min", "max"))
  }
  call_on_files(
    "best_checkpoint", path,
    monitor = monitor, mode = mode, storage_options = storage_options, convert = TRUE
  )$path
}

#' @rdname list_checkpoints
#' @export
verify_checkpoint <- function(path, storage_options = NULL) {
  check_present(missing(path), "path", "the path of a checkpoint")
  path <- check_file(path)
  single_checkpoint(
    call_on_files("verify_checkpoint", path, storage_options = storage_options)
  )
}

accepted_locations <- "a directory, a template or a file, as a string or an fs::path"

# A directory, a template or a file. What exists under its name as it stands is taken
# as it stands; only otherwise are braces placeholders.
check_location <- function(is_missing, filepath, call = rlang::caller_env()) {
  check_present(is_missing, "filepath", accepted_locations, call)
  path <- check_file(filepath, "filepath", call)
  if (is_url(path) || file.exists(path)) {
    return(path)
  }
  check_braces(filepath, call)
  absolute_path(filepath, template = TRUE)
}

check_file <- function(path, argument = "path", call = rlang::caller_env()) {
  if (!checkmate::test_string(path, min.chars = 1L)) {
    abort_argument(argument, path, "one path, as a string or an fs::path", call = call)
  }
  absolute_path(path)
}
