# Warnings from Python become R warnings at the moment they arise.
#
# They arise below Python frames, often in the middle of `fit()`. A handler that
# muffles or prints the warning returns to us, and training goes on. A handler that
# leaves (`tryCatch(warning = )`, `options(warn = 2)`) would unwind R's stack across
# Python's frames, which Python does not survive. R/jumps.R turns that jump into a
# Python exception, and the handler gets its warning when Python has returned.

# Python calls this, on the main thread only, with the text of one warning.
signal_python_warning <- function(text) {
  condition <- rlang::warning_cnd(
    class = "kerascheckpoint_warning", message = printable(enc2utf8(text))
  )
  run_below_python(warning(condition), suspend_interrupts = TRUE)
  NULL
}
