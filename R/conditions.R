# The errors of this package: refused arguments, and Python's exceptions in R.

# The trace ends with the function that the user called, so that it does not show
# how this package is built.
abort <- function(message, class = NULL, ..., call = rlang::caller_env()) {
  rlang::abort(
    message,
    class = c(class, "kerascheckpoint_error"), ...,
    call = call, .frame = if (is.environment(call)) call else rlang::caller_env()
  )
}

# Names the argument, the value it was given, and what it accepts.
abort_argument <- function(argument, value, accepted, headline = NULL,
                           call = rlang::caller_env()) {
  if (is.null(headline)) {
    headline <- sprintf("`%s` is not usable.", argument)
  }
  abort(
    c(
      headline,
      x = sprintf("`%s` was given %s.", argument, describe_value(value)),
      i = sprintf("`%s` takes %s.", argument, accepted)
    ),
    class = "kerascheckpoint_argument_error",
    argument = argument,
    call = call
  )
}

# Describes a value in a few words: a short one as it is, others by their kind.
describe_value <- function(value) {
  if (is.null(value)) {
    return("NULL")
  }
  if (inherits(value, "difftime")) {
    return(paste("a difftime:", paste(format(unclass(value)), collapse = ", "), units(value)))
  }
  if (is.function(value)) {
    return("a function")
  }
  if (is.atomic(value) && length(value) == 1L) {
    if (is.character(value) && !is.na(value)) {
      return(paste0("\"", printable(gsub("([\"\\\\])", "\\\\\\1", value)), "\""))
    }
    return(format(value, digits = 15, trim = TRUE))
  }
  sprintf("%s of length %d", class(value)[[1L]], length(value))
}

# Runs code that calls Python. Python's exceptions become errors of this package, or
# only those for which `only` is true. Those of the types in `refusals` are refused
# arguments as well. A condition of R that was stopped below Python is signalled again
# (see R/jumps.R); an error of R's becomes the parent of the error that it led to.
with_python_conditions <- function(code, refusals = character(), only = NULL,
                                   call = rlang::caller_env()) {
  forget_pending()
  tryCatch(code, error = function(error) {
    exception <- python_exception(error)
    cause <- take_pending(conditionMessage(error))
    ours <- !is.null(exception) && (is.null(only) || only(exception))
    if (!is.null(cause) && !(inherits(cause, "error") && is_checkpoint_error(exception))) {
      signal_again(cause)
    }
    if (!ours) {
      stop(error)
    }
    refused <- exception$type %in% refusals
    abort(
      printable_lines(exception$text),
      class = c(
        if (refused) "kerascheckpoint_argument_error", python_condition_class(exception$type)
      ),
      argument = if (refused) argument_in(exception),
      parent = if (is.null(cause)) parent_condition(exception) else cause,
      call = call
    )
  })
}

# Python's messages name the argument first; NULL where they name none.
argument_in <- function(exception) {
  if (exception$type %in% c("IsADirectoryError", "NotADirectoryError")) {
    return("filepath")
  }
  named <- regmatches(exception$text, regexpr("[a-z]+(_[a-z]+)*", exception$text))
  if (length(named) && named %in% names(formals(callback_model_checkpoint))) named
}

# Line breaks that Python put into its message stay.
printable_lines <- function(text) {
  paste(printable(strsplit(text, "\n", fixed = TRUE)[[1L]]), collapse = "\n")
}

is_checkpoint_error <- function(exception) any(startsWith(exception$bases, "Checkpoint"))

# Finds the type and text of the Python exception behind an R error. Since
# reticulate 1.30 the condition is the exception itself; before that we have to ask
# for the last one. NULL for an error of R's own.
python_exception <- function(error) {
  if (inherits(error, "python.builtin.BaseException")) {
    types <- class(error)[seq_len(match("python.builtin.BaseException", class(error)))]
    types <- sub("^python[.]builtin[.]", "", types)
    text <- reticulate::py_to_r(reticulate::import_builtins(convert = FALSE)$str(error))
    return(list(
      type = unqualified(types[[1L]]), bases = unqualified(types), types = types, text = text,
      condition = error
    ))
  }
  last <- reticulate::py_last_error()
  if (is.null(last) || !is.character(last$type)) {
    return(NULL)
  }
  type <- unqualified(last$type)
  if (!grepl(paste0(type, ":"), conditionMessage(error), fixed = TRUE)) {
    return(NULL)
  }
  list(type = type, bases = type, types = last$type, text = last$value, condition = error)
}

unqualified <- function(types) sub(".*[.]", "", types)

# What an error of ours came from: Python's exception in an R condition. Its message
# is the type alone, since rlang prints it below our own message, which has the text.
parent_condition <- function(exception) {
  rlang::error_cnd(
    class = exception$types,
    message = paste("the Python exception", exception$types[[1L]]),
    exception = exception$condition
  )
}

# CheckpointNotFoundError becomes kerascheckpoint_not_found_error.
python_condition_class <- function(type) {
  name <- sub("^Checkpoint(?=.+Error$)", "", type, perl = TRUE)
  words <- gsub("([a-z0-9])([A-Z])", "\\1_\\2", gsub("([A-Z])([A-Z][a-z])", "\\1_\\2", name))
  paste0("kerascheckpoint_", tolower(words))
}
