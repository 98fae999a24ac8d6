# R code that Python calls must return, or raise a Python exception. A jump across
# Python's frames, to a handler of the user's further out, would corrupt Python. Here
# such a jump is stopped and becomes a Python exception, which unwinds Python in its
# own way; when Python has returned, the condition is signalled again, this time where
# its handler can leave.

pending <- new.env(parent = emptyenv())

# Evaluates code below Python's frames and returns its value.
run_below_python <- function(code, suspend_interrupts = FALSE) {
  last <- NULL
  value <- NULL
  finished <- returned_normally({
    value <- withCallingHandlers(
      if (suspend_interrupts) suspendInterrupts(code) else code,
      condition = function(condition) last <<- condition
    )
  })
  if (!finished) {
    pending$condition <- if (is.null(last)) simpleError("R code was left by a jump") else last
    raise_in_python(pending$condition)
  }
  value
}

# Returns TRUE if `code` returned, and FALSE if it tried to leave this frame in any
# other way: `return()` in an exit handler replaces the jump under way.
returned_normally <- function(code) {
  finished <- FALSE
  on.exit(if (!finished) return(FALSE))
  code
  finished <- TRUE
  TRUE
}

# Raises what was stopped as an exception of Python. keras3's `fit()` is not ours, so
# nobody can signal a warning again when it has returned. But since reticulate 1.30
# the exception itself arrives as an R condition, and one that has the class of a
# warning finds the handler of that warning.
raise_in_python <- function(condition) {
  text <- text_of(condition)
  if (inherits(condition, "kerascheckpoint_warning")) {
    exception <- pending_warning_type()(text)
    if (inherits(exception, "condition")) {
      stop(exception)
    }
    text <- paste("Stopped by the warning:", text)
  }
  rlang::abort(text, call = NULL)
}

text_of <- function(condition) {
  text <- conditionMessage(condition)
  if (inherits(condition, "interrupt") || !nzchar(text)) "interrupted" else text
}

pending_warning_type <- function() {
  if (is.null(bridge$pending_warning)) {
    reticulate::register_class_filter(add_warning_class)
    builtins <- reticulate::import_builtins()
    bridge$pending_warning <- builtins$type(
      "PendingWarning", reticulate::tuple(builtins$RuntimeError),
      reticulate::dict(`__module__` = "kerascheckpoint.notify")
    )
  }
  bridge$pending_warning
}

add_warning_class <- function(classes) {
  if (!all(c("kerascheckpoint.notify.PendingWarning", "condition") %in% classes)) {
    return(classes)
  }
  classes <- c("kerascheckpoint_pending_warning", "kerascheckpoint_warning", classes)
  c(setdiff(classes, "condition"), "warning", "condition")
}

# nolint start: object_name_linter, object_length_linter.
#' @export
conditionMessage.kerascheckpoint_pending_warning <- function(c) {
  # nolint end
  reticulate::py_to_r(reticulate::import_builtins(convert = FALSE)$str(c))
}

forget_pending <- function() {
  pending$condition <- NULL
}

# Returns what was stopped if it is why Python has failed with `text`. Python may
# have dealt with it instead, and failed later for another reason.
take_pending <- function(text) {
  condition <- pending$condition
  forget_pending()
  if (!is.null(condition) && grepl(text_of(condition), text, fixed = TRUE)) condition
}

signal_again <- function(condition) {
  if (inherits(condition, "warning")) {
    warning(condition)
  } else if (inherits(condition, "error")) {
    stop(condition)
  } else if (inherits(condition, "message")) {
    message(condition)
  } else if (inherits(condition, "interrupt")) {
    rlang::interrupt()
  } else {
    signalCondition(condition)
  }
}
