# Warnings from Python, signalled as R warnings at the moment they arise.
#
# They arise below Python frames, often in the middle of `fit()`. A handler that
# muffles the warning, or prints it, returns to us and training goes on. A
# handler that leaves (`tryCatch(warning = )`, `options(warn = 2)`) would unwind
# R's stack across those frames, which Python does not survive. Such a departure
# is turned back here and becomes a Python exception, so that Python unwinds
# itself; once it has, `raise_stopped_warning()` signals the same warning again
# and the handler gets what it waited for.

stopped <- new.env(parent = emptyenv())

# Called by Python, on the main thread only, with the text of one warning.
signal_python_warning <- function(text) {
  warning <- rlang::warning_cnd(class = "kerascheckpoint_warning", message = enc2utf8(text))
  if (!returned_normally(warning(warning))) {
    stopped$warning <- warning
    rlang::abort(paste("Stopped by the warning:", text))
  }
  NULL
}

# TRUE if `code` returned, FALSE if it tried to leave this frame in any other
# way. `return()` in an exit handler takes the place of the jump under way.
returned_normally <- function(code) {
  finished <- FALSE
  on.exit(if (!finished) return(FALSE))
  suspendInterrupts(code)
  finished <- TRUE
  TRUE
}

forget_stopped_warning <- function() {
  stopped$warning <- NULL
}

raise_stopped_warning <- function() {
  warning <- stopped$warning
  if (!is.null(warning)) {
    forget_stopped_warning()
    warning(warning)
  }
}
