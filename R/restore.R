#' Put a checkpoint back into a model
#'
#' Restores everything that a checkpoint holds into a model of the same architecture: the
#' weights, the optimizer's state and the random state of every layer and of Keras. An
#' optimizer that is not built yet is built first. `resume = TRUE` in
#' [callback_model_checkpoint()] does this by itself when training starts;
#' `restore_checkpoint()` does it by hand.
#'
#' Either everything is restored or nothing: if the model differs from the file, the model
#' stays as it was. For a model that is not compiled the optimizer's state is left out,
#' with a warning. If only one of file and model has a schedule of the learning rate, the
#' model keeps its own schedule or rate, everything else is restored, and a warning names
#' both.
#'
#' @param model A Keras model.
#' @param path A string, [fs::path()] or URL: a checkpoint, `.keras`, `.weights.h5` or
#'   `.orbax`.
#' @inheritParams list_checkpoints
#'
#' @returns Invisibly, a `checkpoint_list` of one row that describes the file; see
#'   [list_checkpoints()]. `epoch` is the number of epochs completed, so to carry on by
#'   hand use `initial_epoch = epoch + 1`. The model is changed in place.
#'
#' @section Errors:
#' A `kerascheckpoint_mismatch_error` names the first difference between model and file.
#' Damaged and missing files raise the errors of [verify_checkpoint()].
#'
#' @seealso [latest_checkpoint()] and [best_checkpoint()] to find a file,
#'   [load_model()] to read a whole model.
#' @examplesIf kerascheckpoint:::keras_is_available()
#' new_model <- function() {
#'   keras_model_sequential(input_shape = 10) |>
#'     layer_dense(1) |>
#'     compile(loss = "mse", optimizer = "adam")
#' }
#' x <- random_uniform(c(64, 10))
#' y <- random_uniform(c(64, 1))
#' path <- tempfile(fileext = ".weights.h5")
#' saving <- callback_model_checkpoint(path, save_weights_only = TRUE)
#' new_model() |> fit(x, y, epochs = 2, verbose = 0, callbacks = list(saving))
#'
#' model <- new_model()
#' checkpoint <- restore_checkpoint(model, path)
#' model |> fit(x, y, initial_epoch = checkpoint$epoch + 1, epochs = 4, verbose = 0)
#' @export
restore_checkpoint <- function(model, path, storage_options = NULL) {
  check_present(missing(model), "model", "a Keras model")
  check_present(missing(path), "path", "the path of a checkpoint")
  if (!inherits(model, "keras.src.models.model.Model")) {
    abort_argument("model", model, "a Keras model")
  }
  path <- check_file(path)
  invisible(single_checkpoint(
    call_on_files("restore_checkpoint", model, path, storage_options = storage_options)
  ))
}
