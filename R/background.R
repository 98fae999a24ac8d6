# What a callback leaves behind when `fit()` fails, which Keras tells nobody: files
# that are still being written, and the watch for signals.

background <- new.env(parent = emptyenv())

# Accepted files are finished when the session ends, even after a `fit()` that
# was interrupted and told nobody. Registered once, after Python has started, so
# that it runs before reticulate's own farewell (finalizers run newest first).
finish_writing_at_exit <- function() {
  if (is.null(background$registered)) {
    background$registered <- TRUE
    reg.finalizer(background, function(...) end_session(), onexit = TRUE)
  }
}

# Python's own farewell is not heard under R, so what it would say is said here:
# which files failed that nobody has asked about.
end_session <- function() {
  try(core("background")$`report_failures`(), silent = TRUE)
}

# Before files are looked at: what a failed `fit()` of keras3 left behind is
# then complete.
finish_writing <- function() {
  if (isTRUE(background$registered)) {
    core("background")$wait_all()
  }
  invisible()
}

# After a failed `fit()` Python would go on noting signals, which it hands to R only
# when it runs again.
stop_watching <- function() {
  if (isTRUE(bridge$connected)) {
    core("interrupt")$end_finished()
  }
}
