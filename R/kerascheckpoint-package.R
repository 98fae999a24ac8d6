#' kerascheckpoint: model checkpoints for Keras that can be trusted
#'
#' A checkpoint callback that takes the place of the one Keras ships, and the
#' functions to look at what it wrote. The work is done by the Python package of
#' the same name, which this R package carries with it; attaching the R package
#' starts no Python, the first call that needs it does.
#'
#' @section Where to begin:
#' - [callback_model_checkpoint()] saves during `fit()`.
#' - [list_checkpoints()] shows what a run has left, [latest_checkpoint()] and
#'   [best_checkpoint()] pick one file, [verify_checkpoint()] checks it and
#'   [restore_checkpoint()] puts it back into a model.
#' - [modelling-verbs] are the few Keras functions this package supplies when
#'   the package keras3 is not installed.
#'
#' @section Python:
#' Keras 3 and one of TensorFlow, JAX or PyTorch must be reachable from
#' reticulate. Choose a Python as you always do, for example with
#' `reticulate::use_virtualenv()` or the environment variable
#' `RETICULATE_PYTHON`, before the first call. Where reticulate is 1.41 or
#' newer and no Python was chosen, the requirements are declared with
#' `reticulate::py_require()` and reticulate finds one that meets them.
#'
#' @section Conditions:
#' Every error of this package has the class `kerascheckpoint_error`; a refused
#' argument is also a `kerascheckpoint_argument_error`, a missing Python or
#' Python package a `kerascheckpoint_python_error`. Errors that come from Python
#' carry one class more, named after the Python error
#' (`kerascheckpoint_corrupt_error`, `kerascheckpoint_not_found_error`,
#' `kerascheckpoint_write_error`, ...), and the Python condition as `parent`.
#' Warnings have the class `kerascheckpoint_warning`.
#'
#' @keywords internal
#' @aliases kerascheckpoint
"_PACKAGE"

# Set up by hand rather than in NAMESPACE: which functions stand behind the
# modelling verbs depends on whether keras3 is there when we are loaded.
.onLoad <- function(libname, pkgname) { # nolint: object_name_linter.
  namespace <- topenv()
  if (requireNamespace("keras3", quietly = TRUE)) {
    take_verbs_from_keras3(namespace)
  } else {
    register_modelling_methods()
  }
}
