# Warnings from Python become R warnings at the moment they arise.
#
# They arise below Python frames, often in the middle of `fit()`. A handler that
# muffles or prints the warning returns to us, and training goes on. A handler that
# leaves (`tryCatch(warning = )`, `options(warn = 2)`) would unwind R's stack across
# Python's frames, which Python does not survive. So we stop that jump and raise a
# Python exception instead, which unwinds Python in its own way. When Python has
# returned, `raise_pending_warning()` signals the warning again, this time where the
# handler can leave.

pending_warning <- new.env(parent = emptyenv())

# Python calls this, on the main thread only, with the text of one warning.
signal_python_warning <- function(text) {
  warning <- rlang::warning_cnd(
    class = "kerascheckpoint_warning", message = printable(enc2utf8(text))
  )
  if (!returned_normally(warning(warning))) {
    pending_warning$condition <- warning
    rlang::abort(paste("Stopped by the warning:", conditionMessage(warning)))
  }
  NULL
}

# Returns TRUE if `code` returned, and FALSE if it tried to leave this frame in any
# other way: `return()` in an exit handler replaces the jump under way.
returned_normally <- function(code) {
  finished <- FALSE
  on.exit(if (!finished) return(FALSE))
  suspendInterrupts(code)
  finished <- TRUE
  TRUE
}

forget_pending_warning <- function() {
  pending_warning$condition <- NULL
}

raise_pending_warning <- function() {
  warning <- pending_warning$condition
  if (!is.null(warning)) {
    forget_pending_warning()
    warning(warning)
  }
}
