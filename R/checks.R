# Checks of single arguments. Each returns the value in the type that Python is
# to receive, or raises a `kerascheckpoint_argument_error`.

largest_integer <- .Machine$integer.max

check_present <- function(is_missing, argument, meaning, call = rlang::caller_env()) {
  if (is_missing) {
    abort(
      c(sprintf("`%s` is missing.", argument), i = sprintf("`%s` takes %s.", argument, meaning)),
      class = "kerascheckpoint_argument_error", argument = argument, call = call
    )
  }
}

check_string <- function(value, argument, call = rlang::caller_env()) {
  if (!checkmate::test_string(value, min.chars = 1L)) {
    abort_argument(argument, value, "one non-empty string", call = call)
  }
  enc2utf8(as.character(value))
}

check_flag <- function(value, argument, call = rlang::caller_env()) {
  if (!checkmate::test_flag(value)) {
    abort_argument(argument, value, "TRUE or FALSE", call = call)
  }
  as.logical(value)
}

# Both 5L and 5 are whole numbers; 2.7, NA, Inf and what does not fit R's (and
# reticulate's) 32-bit integers are not.
is_whole <- function(value, lower) {
  is.numeric(value) && !is.object(value) &&
    checkmate::test_int(value, lower = lower, upper = largest_integer, tol = 0)
}

check_whole <- function(value, argument, lower, null_ok = FALSE, call = rlang::caller_env()) {
  if (null_ok && is.null(value)) {
    return(NULL)
  }
  if (!is_whole(value, lower)) {
    accepted <- sprintf("a whole number from %d to %d", lower, largest_integer)
    abort_argument(argument, value, paste0(accepted, if (null_ok) ", or NULL"), call = call)
  }
  as.integer(value)
}

# TRUE and FALSE are habits of R's, and what Keras' own callback takes.
check_verbose <- function(value, call = rlang::caller_env()) {
  if (checkmate::test_flag(value)) {
    return(as.integer(value))
  }
  check_whole(value, "verbose", lower = 0L, call = call)
}

# The whole vector of choices is what a function passes on that has the same
# default as ours: its first element, as for `match.arg()`.
check_on_save_error <- function(value, call = rlang::caller_env()) {
  choices <- c("raise", "warn")
  check_choice(if (identical(value, choices)) "raise" else value, "on_save_error", choices, call)
}

check_choice <- function(value, argument, choices, call = rlang::caller_env()) {
  if (!checkmate::test_string(value) || !tolower(value) %in% choices) {
    accepted <- paste0("one of ", paste0("\"", choices, "\"", collapse = ", "))
    abort_argument(argument, value, accepted, call = call)
  }
  tolower(as.character(value))
}

check_min_delta <- function(value, call = rlang::caller_env()) {
  if (is.object(value) || !checkmate::test_number(value, lower = 0, finite = TRUE)) {
    abort_argument("min_delta", value, "one finite number, 0 or larger", call = call)
  }
  as.double(value)
}

check_initial_value_threshold <- function(value, call = rlang::caller_env()) {
  if (is.null(value)) {
    return(NULL)
  }
  if (is.object(value) || !checkmate::test_number(value) || is.nan(value)) {
    abort_argument("initial_value_threshold", value, "one number, or NULL for no bar", call = call)
  }
  as.double(value)
}

# "epoch", batches as an integer, or the seconds of an interval with class
# "seconds", which become a Python timedelta once there is a Python.
check_save_freq <- function(value, call = rlang::caller_env()) {
  if (checkmate::test_string(value) && value == "epoch") {
    return("epoch")
  }
  if (is_whole(value, lower = 1)) {
    return(as.integer(value))
  }
  if (inherits(value, "difftime") && length(value) == 1L) {
    seconds <- as.numeric(value, units = "secs")
    if (isTRUE(seconds >= shortest_interval && seconds <= longest_interval)) {
      return(structure(seconds, class = "seconds"))
    }
  }
  abort_argument(
    "save_freq", value,
    paste(
      "\"epoch\", a whole number of batches (1 or more),",
      "or one positive difftime such as as.difftime(10, units = \"mins\")"
    ),
    headline = paste0("Unrecognized save_freq: ", describe_value(value), "."),
    call = call
  )
}

# In seconds: what a Python timedelta can tell from zero, and the most it holds.
shortest_interval <- 1e-6
longest_interval <- 999999999 * 86400

check_no_more_arguments <- function(..., call = rlang::caller_env()) {
  if (...length() == 0L) {
    return(invisible())
  }
  names <- ...names()
  unknown <- if (is.null(names)) character() else names[nzchar(names) & !is.na(names)]
  abort(
    c(
      "`...` must be empty.",
      x = if (length(unknown)) {
        paste("There is no argument", paste0("`", unknown, "`", collapse = ", "), "here.")
      } else {
        sprintf("%d unnamed argument(s) too many.", ...length())
      },
      i = "Arguments after `initial_value_threshold` are given by their full names."
    ),
    class = "kerascheckpoint_argument_error",
    argument = "...",
    call = call
  )
}
