# What a callback leaves behind when `fit()` fails, since Keras then calls no hook:
# files that are still being written, and the watch for signals.

background <- new.env(parent = emptyenv())

# Finishes accepted files when the session ends, also after an interrupted `fit()`.
# R runs finalizers newest first, so this one, registered after Python has started,
# runs before reticulate's own.
finish_writing_at_exit <- function() {
  if (is.null(background$registered)) {
    background$registered <- TRUE
    reg.finalizer(background, function(...) end_session(), onexit = TRUE)
  }
}

# Names the files that could not be written and that nobody has asked about. Under
# R, Python's own exit handler comes too late to print.
end_session <- function() {
  try(core("background")$`report_failures`(), silent = TRUE)
}

# Waits for files that a failed `fit()` of keras3 has left unfinished, so that
# whoever looks sees all of them.
finish_writing <- function() {
  if (isTRUE(background$registered)) {
    core("background")$wait_all()
  }
  invisible()
}

# After a failed `fit()` Python would go on catching signals, and hand them to R
# only when Python runs again.
stop_watching <- function() {
  if (isTRUE(bridge$connected)) {
    core("interrupt")$end_finished()
  }
}
