# The errors of this package: refused arguments, and Python's exceptions in R.

abort <- function(message, class = NULL, ..., call = rlang::caller_env()) {
  rlang::abort(message, class = c(class, "kerascheckpoint_error"), ..., call = call)
}

# Says which argument, what it was given, and what it takes.
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

# A value in a few words: itself when it is short, else what kind of thing it is.
describe_value <- function(value) {
  if (is.null(value)) {
    return("NULL")
  }
  if (inherits(value, "difftime")) {
    return(paste("a difftime:", paste(format(unclass(value)), collapse = ", "), units(value)))
  }
  if (is.atomic(value) && length(value) == 1L) {
    if (is.character(value) && !is.na(value)) {
      return(encodeString(value, quote = "\""))
    }
    return(format(value, digits = 15, trim = TRUE))
  }
  sprintf("%s of length %d", class(value)[[1L]], length(value))
}

# Evaluates a call into Python. Python's exceptions become conditions of ours, or
# only those for which `only` is true; those of the types in `refusals` are
# refused arguments, too. A warning that an outer handler wants to act on is
# raised again once the Python frames are gone (see R/warnings.R).
with_python_conditions <- function(code, refusals = character(), only = NULL,
                                   call = rlang::caller_env()) {
  forget_stopped_warning()
  tryCatch(code, error = function(error) {
    raise_stopped_warning()
    exception <- python_exception(error)
    if (is.null(exception) || !(is.null(only) || only(exception))) {
      stop(error)
    }
    abort(
      exception$text,
      class = c(
        if (exception$type %in% refusals) "kerascheckpoint_argument_error",
        python_condition_class(exception$type)
      ),
      parent = exception$condition,
      call = call
    )
  })
}

# Type and text of the exception behind an R error, whatever reticulate is in
# use: since 1.30 the condition is the Python exception itself, before that the
# exception has to be asked for. NULL for an error that is R's own.
python_exception <- function(error) {
  if (inherits(error, "python.builtin.BaseException")) {
    types <- class(error)[seq_len(match("python.builtin.BaseException", class(error)))]
    types <- sub("^python[.]builtin[.]", "", types)
    text <- reticulate::py_to_r(reticulate::import_builtins(convert = FALSE)$str(error))
    return(list(
      type = unqualified(types[[1L]]),
      bases = unqualified(types),
      text = text,
      condition = plain_condition(error, types, text)
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
  list(type = type, bases = type, text = last$value, condition = error)
}

unqualified <- function(types) sub(".*[.]", "", types)

# A Python exception does not answer `$trace` as rlang expects of a parent, so it
# is carried inside an R condition that has the names of its types.
plain_condition <- function(error, types, text) {
  rlang::error_cnd(class = types, message = paste0(types[[1L]], ": ", text), exception = error)
}

# CheckpointNotFoundError becomes kerascheckpoint_not_found_error.
python_condition_class <- function(type) {
  name <- sub("^Checkpoint(?=.+Error$)", "", type, perl = TRUE)
  paste0("kerascheckpoint_", tolower(gsub("([a-z0-9])([A-Z])", "\\1_\\2", name)))
}
