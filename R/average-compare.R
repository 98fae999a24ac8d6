#' Average and compare checkpoints
#'
#' `average_checkpoints()` writes a new checkpoint whose weights are the mean of those of
#' several checkpoints of one model. Such an average ("model soup") often does better than
#' each of its sources. `compare_checkpoints()` reports, array by array, how two checkpoints
#' differ. Both read one array at a time and start neither Keras nor a backend.
#'
#' The new file takes whole numbers, flags and seeds from the newest source. Moving
#' statistics, such as those of a batch normalization, are averaged too: they are the mean
#' of what each model has seen, not what the averaged model would see. If they matter, let
#' the averaged model see some data. The optimizer's state is left out, with a warning. A
#' model that was compiled still is after [load_model()], with a new optimizer; Keras warns
#' that it skips the variables of the old one. The record of the new file names its sources.
#'
#' @param paths A character vector of files, or a `checkpoint_list`, such as
#'   `tail(list_checkpoints("run"), 3)`.
#' @param output A string, [fs::path()] or URL: the file to write, with the same suffix.
#' @param a,b A string, [fs::path()] or URL: the two checkpoints.
#' @inheritParams list_checkpoints
#'
#' @returns `average_checkpoints()` returns, invisibly, a `checkpoint_list` of one row that
#'   describes the new file. `compare_checkpoints()` returns a data frame with one row for
#'   each array: `name`, `shape` (as text), `dtype`, `equal`, `max_abs` and `mean_abs` (the
#'   largest and the mean absolute difference of finite values) and `not_finite` (how many
#'   values are not finite). An array that only one of them has comes with `equal = FALSE`
#'   and `NaN`.
#' @seealso [list_checkpoints()]
#' @examplesIf kerascheckpoint:::keras_is_available()
#' run <- tempfile("run-")
#' saving <- callback_model_checkpoint(file.path(run, "{epoch}.weights.h5"),
#'                                     save_weights_only = TRUE)
#' model <- keras_model_sequential(input_shape = 10) |>
#'   layer_dense(1) |>
#'   compile(loss = "mse", optimizer = "adam")
#' model |> fit(random_uniform(c(64, 10)), random_uniform(c(64, 1)), epochs = 3,
#'              validation_split = .25, verbose = 0, callbacks = list(saving))
#' files <- list_checkpoints(run)
#' suppressWarnings(average_checkpoints(tail(files, 2), file.path(run, "mean.weights.h5")))
#' compare_checkpoints(files$path[1], files$path[3])
#' @export
average_checkpoints <- function(paths, output, storage_options = NULL) {
  check_present(missing(paths), "paths", "the paths of two or more checkpoints")
  check_present(missing(output), "output", "the path of a file to write")
  files <- if (inherits(paths, "checkpoint_list")) paths$path else paths
  if (!checkmate::test_character(files, min.chars = 1L, any.missing = FALSE, min.len = 1L)) {
    abort_argument("paths", paths, "a character vector of paths, or a checkpoint_list")
  }
  files <- lapply(files, check_file, argument = "paths")
  output <- check_file(output, "output")
  invisible(single_checkpoint(
    call_on_files("average_checkpoints", files, output, storage_options = storage_options)
  ))
}

#' @rdname average_checkpoints
#' @export
compare_checkpoints <- function(a, b, storage_options = NULL) {
  check_present(missing(a), "a", "the path of a checkpoint")
  check_present(missing(b), "b", "the path of a checkpoint")
  a <- check_file(a, "a")
  b <- check_file(b, "b")
  arrays <- call_on_files("compare_checkpoints", a, b, storage_options = storage_options)
  field <- reticulate::py_eval("lambda rows, name, of: [of(getattr(row, name)) for row in rows]")
  text <- reticulate::py_eval("lambda shape: ' x '.join(map(str, shape))", convert = FALSE)
  builtins <- reticulate::import_builtins(convert = FALSE)
  column <- function(name, kind, type) as.vector(unlist(field(arrays, name, kind)), type)
  data.frame(
    name = column("name", builtins$str, "character"),
    shape = column("shape", text, "character"),
    dtype = column("dtype", builtins$str, "character"),
    equal = column("equal", builtins$bool, "logical"),
    max_abs = column("max_abs", builtins$float, "double"),
    mean_abs = column("mean_abs", builtins$float, "double"),
    not_finite = column("not_finite", builtins$float, "double")
  )
}
