#' The modelling verbs of the examples
#'
#' Enough of Keras to build, train, save and load a simple model from R, so that
#' the examples of this package run wherever Python has Keras.
#'
#' If the package keras3 is installed, these functions *are* keras3's functions: the very
#' same objects, described in keras3's manual. You can attach both packages in either
#' order; the only name that they share otherwise is [callback_model_checkpoint()].
#' keras3's `load_model()` reads local files only; for a URL, build the model and use
#' [restore_checkpoint()]. Without
#' keras3, this package supplies the functions with keras3's argument names, for the cases
#' below. They do not replace keras3: for other layers, metrics or optimizers use keras3,
#' or Keras itself through `reticulate::import("keras")`. Such models work with [fit()] and
#' the other functions too.
#'
#' @section Without keras3:
#' ```r
#' keras_model_sequential(input_shape = NULL, name = NULL, ..., trainable = TRUE, layers = list())
#' layer_dense(object, units, activation = NULL, ...)
#' compile(object, optimizer = "rmsprop", loss = NULL, metrics = NULL, ...)
#' fit(object, x = NULL, y = NULL, ..., batch_size = NULL, epochs = 1L, callbacks = NULL,
#'     validation_split = 0, validation_data = NULL, shuffle = TRUE, class_weight = NULL,
#'     sample_weight = NULL, initial_epoch = 1L, steps_per_epoch = NULL,
#'     validation_steps = NULL, validation_batch_size = NULL, validation_freq = 1L,
#'     verbose = getOption("keras.verbose", "auto"), view_metrics = NULL)
#' evaluate(object, x = NULL, y = NULL, ..., batch_size = NULL, sample_weight = NULL,
#'          steps = NULL, callbacks = NULL, verbose = getOption("keras.verbose", "auto"))
#' predict(object, x, ..., batch_size = NULL, steps = NULL, callbacks = NULL,
#'         verbose = getOption("keras.verbose", "auto"))
#' save_model(model, filepath, overwrite = FALSE, ...)
#' load_model(model, custom_objects = NULL, compile = TRUE, safe_mode = TRUE)
#' save_model_weights(model, filepath, overwrite = FALSE, ...)
#' load_model_weights(model, filepath, skip_mismatch = FALSE, ...)
#' random_uniform(shape, minval = 0, maxval = 1, dtype = NULL, seed = NULL)
#' op_ones(shape, ..., dtype = NULL)
#' ```
#'
#' - `object`, `model`: a Keras model; for `layer_dense()` a sequential model to
#'   add the layer to, or a tensor; for `load_model()` the path or URL of a file.
#' - `input_shape`, `shape`: whole numbers, without the batch; `NA` for a size
#'   that is left open. `op_ones(2, 1)` and `op_ones(c(2, 1))` both make two rows
#'   and one column. (keras3 takes the second number of the first form for a data
#'   type.)
#' - `x`, `y`, `sample_weight`, `validation_data`: R vectors, matrices, arrays or
#'   data frames of numbers, lists of them, or tensors of the backend.
#' - `epochs`, `batch_size`, `units` and other counts: `10` and `10L` are the same.
#'   `initial_epoch` counts from 1.
#' - `callbacks`: a callback or a list of them.
#' - `overwrite`: an existing file is replaced only with `TRUE`.
#' - `view_metrics` is accepted, for scripts written for keras3, and not used.
#' - `...` goes to the Python method or class of the same name; in `op_ones()` it
#'   is further sizes.
#'
#' @returns
#' - What makes or reads a model returns it; it prints as Keras' summary of it.
#'   What changes or saves a model returns it invisibly, for the next step of a
#'   pipe.
#' - `fit()`: invisibly, a `keras_training_history`: a list of `params` and of
#'   `metrics`, one number per epoch and metric, with methods for [print()],
#'   [plot()] and [as.data.frame()].
#' - `evaluate()`: a named list of numbers. `predict()`: an array.
#'   `summary()` prints the model and returns the text, invisibly.
#' - `random_uniform()` and `op_ones()`: a tensor of the backend.
#'
#' Errors of this package's callback, raised while `fit()` runs, are the classed
#' conditions described in [callback_model_checkpoint()]; others are passed on as
#' Keras raised them.
#'
#' @name modelling-verbs
#' @aliases keras_model_sequential layer_dense evaluate save_model load_model
#'   save_model_weights load_model_weights random_uniform op_ones
#' @seealso [callback_model_checkpoint()]
#' @examplesIf kerascheckpoint:::keras_is_available()
#' model <- keras_model_sequential(input_shape = 4) |>
#'   layer_dense(8, activation = "relu") |>
#'   layer_dense(1) |>
#'   compile(optimizer = "adam", loss = "mse")
#' history <- model |> fit(as.matrix(iris[, 1:4]), iris$Petal.Width, epochs = 2, verbose = 0)
#' history
NULL

# What keras3 exports under the same names; `fit()` and `compile()` are the
# generics of the package generics in both worlds.
modelling_verbs <- c(
  "keras_model_sequential", "layer_dense", "evaluate", "save_model", "load_model",
  "save_model_weights", "load_model_weights", "random_uniform", "op_ones"
)

take_verbs_from_keras3 <- function(namespace) {
  for (verb in modelling_verbs) {
    assign(verb, getExportedValue("keras3", verb), envir = namespace)
  }
}

register_modelling_methods <- function() {
  model <- "keras.src.models.model.Model"
  generics <- asNamespace("generics")
  registerS3method("fit", model, fit_model, envir = generics)
  registerS3method("compile", model, compile_model, envir = generics)
  registerS3method("evaluate", model, evaluate_model)
  registerS3method("predict", model, predict_model, envir = asNamespace("stats"))
  registerS3method("summary", model, summarise_model)
  registerS3method("format", model, format_model)
  registerS3method("print", model, print_model)
  history <- "keras_training_history"
  registerS3method("print", history, print_history)
  registerS3method("plot", history, plot_history)
  registerS3method("as.data.frame", history, history_as_data_frame)
}

#' @importFrom generics fit
#' @export
generics::fit

#' @importFrom generics compile
#' @export
generics::compile

# ---- building ----

#' @rdname modelling-verbs
#' @usage NULL
#' @export
keras_model_sequential <- function(input_shape = NULL, name = NULL, ..., trainable = TRUE,
                                   layers = list()) {
  layers <- as.list(layers)
  if (!is.null(input_shape)) {
    input <- keras("layers")$InputLayer(shape = as_shape(input_shape), ...)
    layers <- c(list(input), layers)
  }
  keras()$Sequential(layers = layers, name = name, trainable = trainable)
}

#' @rdname modelling-verbs
#' @usage NULL
#' @export
layer_dense <- function(object, units, activation = NULL, ...) {
  # The layers before this one are made, and named, before it.
  if (!missing(object)) {
    force(object)
  }
  layer <- keras("layers")$Dense(as.integer(units), activation = activation, ...)
  if (missing(object) || is.null(object)) {
    return(layer)
  }
  if (inherits(object, "keras.src.models.sequential.Sequential")) {
    object$add(layer)
    return(invisible(object))
  }
  layer(object)
}

#' @rdname modelling-verbs
#' @usage NULL
#' @export
random_uniform <- function(shape, minval = 0, maxval = 1, dtype = NULL, seed = NULL) {
  keras("random")$uniform(
    as_shape(shape),
    minval = minval, maxval = maxval, dtype = dtype,
    seed = if (is.numeric(seed)) as.integer(seed) else seed
  )
}

#' @rdname modelling-verbs
#' @usage NULL
#' @export
op_ones <- function(shape, ..., dtype = NULL) {
  keras("ops")$ones(as_shape(c(shape, ...)), dtype = dtype)
}

# ---- saving and loading by hand ----

#' @rdname modelling-verbs
#' @usage NULL
#' @export
save_model <- function(model, filepath, overwrite = FALSE, ...) {
  path <- path_to_write(filepath, overwrite)
  with_python_conditions(model$save(path, overwrite = TRUE, ...))
  invisible(model)
}

#' @rdname modelling-verbs
#' @usage NULL
#' @export
load_model <- function(model, custom_objects = NULL, compile = TRUE, safe_mode = TRUE) {
  path <- check_file(model, "model")
  with_python_conditions(keras("saving")$load_model(
    local_copy(path),
    custom_objects = custom_objects, compile = compile, safe_mode = safe_mode
  ))
}

#' @rdname modelling-verbs
#' @usage NULL
#' @export
save_model_weights <- function(model, filepath, overwrite = FALSE, ...) {
  path <- path_to_write(filepath, overwrite)
  with_python_conditions(model$save_weights(path, overwrite = TRUE, ...))
  invisible(model)
}

#' @rdname modelling-verbs
#' @usage NULL
#' @export
load_model_weights <- function(model, filepath, skip_mismatch = FALSE, ...) {
  path <- local_copy(check_file(filepath, "filepath"))
  with_python_conditions(model$load_weights(path, skip_mismatch = skip_mismatch, ...))
  invisible(model)
}

# Keras would ask on Python's standard input, which hangs under R.
path_to_write <- function(filepath, overwrite, call = rlang::caller_env()) {
  path <- absolute_path(filepath)
  if (!isTRUE(overwrite) && file.exists(path)) {
    abort_argument(
      "filepath", filepath, "a path that is free, or set `overwrite = TRUE`",
      headline = "The file exists already.", call = call
    )
  }
  path
}

# Keras reads files of this machine only. The copy of a remote one is removed with R's
# temporary directory.
local_copy <- function(path) {
  if (!is_url(path)) {
    return(path)
  }
  place <- reticulate::import("fsspec.core")$url_to_fs(path)
  copy <- file.path(tempfile("copy-"), basename(path))
  dir.create(dirname(copy))
  place[[1L]]$get(place[[2L]], copy, recursive = TRUE)
  copy
}

# ---- R values as Keras takes them ----

as_shape <- function(shape) {
  sizes <- lapply(unlist(shape), function(size) if (is.na(size)) NULL else as.integer(size))
  reticulate::tuple(sizes)
}

as_tensors <- function(x) {
  if (is.null(x) || inherits(x, "python.builtin.object")) {
    return(x)
  }
  if (is.data.frame(x)) {
    x <- as.matrix(x)
  }
  if (is.list(x)) {
    return(lapply(x, as_tensors))
  }
  if (is.factor(x)) {
    x <- as.integer(x) - 1L
  }
  reticulate::np_array(x, dtype = if (is.double(x)) keras("config")$floatx())
}
