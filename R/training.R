# Methods for Keras models, registered when keras3 is not there to bring its own
# (see R/modelling.R): compiling, training, using and printing a model.

compile_model <- function(object, optimizer = "rmsprop", loss = NULL, metrics = NULL, ...) {
  if (is.character(loss) && length(loss) > 1L) {
    loss <- as.list(loss)
  }
  if (!is.null(metrics) && !inherits(metrics, "python.builtin.object")) {
    metrics <- as.list(metrics)
  }
  more <- lapply(list(...), whole_as_integer)
  do.call(object$compile, c(list(optimizer = optimizer, loss = loss, metrics = metrics), more))
  invisible(object)
}

fit_model <- function(object, x = NULL, y = NULL, ..., batch_size = NULL, epochs = 1L,
                      callbacks = NULL, validation_split = 0, validation_data = NULL,
                      shuffle = TRUE, class_weight = NULL, sample_weight = NULL,
                      initial_epoch = 1L, steps_per_epoch = NULL, validation_steps = NULL,
                      validation_batch_size = NULL, validation_freq = 1L,
                      verbose = getOption("keras.verbose", "auto"), view_metrics = NULL) {
  arguments <- list(
    x = as_tensors(x),
    y = as_tensors(y),
    batch_size = whole_as_integer(batch_size),
    epochs = whole_as_integer(epochs),
    callbacks = as_callbacks(callbacks),
    validation_split = validation_split,
    validation_data = as_tensors(validation_data),
    shuffle = shuffle,
    class_weight = as_class_weight(class_weight),
    sample_weight = as_tensors(sample_weight),
    initial_epoch = whole_as_integer(initial_epoch) - 1L,
    steps_per_epoch = whole_as_integer(steps_per_epoch),
    validation_steps = whole_as_integer(validation_steps),
    validation_batch_size = whole_as_integer(validation_batch_size),
    validation_freq = whole_as_integer(validation_freq),
    verbose = as_verbose(verbose),
    ...
  )
  # However training ends, no file that was accepted is left half way, and signals
  # are R's again.
  on.exit(finish_writing())
  on.exit(stop_watching(), add = TRUE)
  history <- with_python_conditions(do.call(object$fit, arguments), only = is_checkpoint_error)
  invisible(new_history(history))
}

evaluate_model <- function(object, x = NULL, y = NULL, ..., batch_size = NULL,
                           sample_weight = NULL, steps = NULL, callbacks = NULL,
                           verbose = getOption("keras.verbose", "auto")) {
  object$evaluate(
    x = as_tensors(x), y = as_tensors(y),
    batch_size = whole_as_integer(batch_size), sample_weight = as_tensors(sample_weight),
    steps = whole_as_integer(steps), callbacks = as_callbacks(callbacks),
    verbose = as_verbose(verbose), return_dict = TRUE, ...
  )
}

predict_model <- function(object, x, ..., batch_size = NULL, steps = NULL, callbacks = NULL,
                          verbose = getOption("keras.verbose", "auto")) {
  object$predict(
    as_tensors(x),
    batch_size = whole_as_integer(batch_size), steps = whole_as_integer(steps),
    callbacks = as_callbacks(callbacks), verbose = as_verbose(verbose), ...
  )
}

#' @rdname modelling-verbs
#' @usage NULL
#' @export
evaluate <- function(object, ...) UseMethod("evaluate")

# ---- printing ----

format_model <- function(x, line_length = getOption("width"), ...) {
  # Through a list of Python's, because what Keras prints by itself depends on
  # its logging settings and on the terminal.
  text <- reticulate::py_eval("[]", convert = FALSE)
  x$summary(line_length = as.integer(line_length), print_fn = text$append, ...)
  lines <- unlist(strsplit(unlist(reticulate::py_to_r(text)), "\n"))
  lines[grepl("[^ ]", lines)]
}

print_model <- function(x, ...) {
  writeLines(format_model(x, ...))
  invisible(x)
}

summarise_model <- function(object, ...) {
  lines <- format_model(object, ...)
  writeLines(lines)
  invisible(lines)
}

# ---- R values as Python's methods take them ----

whole_as_integer <- function(x) {
  if (is.double(x) && length(x) == 1L && is_whole(x, lower = -largest_integer)) {
    return(as.integer(x))
  }
  x
}

as_verbose <- function(verbose) {
  if (identical(verbose, "auto")) {
    return(if (isTRUE(getOption("knitr.in.progress"))) 2L else "auto")
  }
  as.integer(verbose)
}

as_callbacks <- function(callbacks) {
  if (inherits(callbacks, "python.builtin.object")) list(callbacks) else callbacks
}

# Classes are numbered from 0, as in Keras; Python wants them as integers.
as_class_weight <- function(class_weight) {
  if (is.null(class_weight) || inherits(class_weight, "python.builtin.object")) {
    return(class_weight)
  }
  classes <- names(class_weight)
  if (is.null(classes)) {
    classes <- seq_along(class_weight) - 1L
  }
  reticulate::py_dict(as.list(as.integer(classes)), as.list(unname(class_weight)))
}
