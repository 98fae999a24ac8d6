# Checks of single arguments. Each returns the value in the type that Python receives,
# or raises a `kerascheckpoint_argument_error`.

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

# Both 5L and 5 are whole numbers; 2.7, NA, Inf and numbers beyond the 32-bit integers
# of R and reticulate are not.
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

# R users write TRUE and FALSE, and Keras' own callback takes them.
check_verbose <- function(value, call = rlang::caller_env()) {
  if (checkmate::test_flag(value)) {
    return(as.integer(value))
  }
  check_whole(value, "verbose", lower = 0L, call = call)
}

# As in `match.arg()`, the vector of all choices stands for the first one: a function
# of the user's with the same default passes it on.
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

# Returns "epoch", a number of batches, a share such as "2%", a function, or the seconds
# of an interval with class "seconds", which new_model_checkpoint() makes a timedelta.
check_save_freq <- function(value, call = rlang::caller_env()) {
  if (checkmate::test_string(value) && (value == "epoch" || is_share(value))) {
    return(as.character(value))
  }
  if (is_whole(value, lower = 1)) {
    return(as.integer(value))
  }
  if (is.function(value) && takes_arguments(value, 3L)) {
    return(value)
  }
  if (is_interval(value)) {
    return(structure(as.numeric(value, units = "secs"), class = "seconds"))
  }
  abort_argument(
    "save_freq", value,
    paste(
      "\"epoch\", a whole number of batches (1 or more), one positive difftime such as",
      "as.difftime(10, units = \"mins\"), a share of the training time such as \"2%\" (up to",
      "\"100%\"), or a function of epoch, batch and logs"
    ),
    headline = paste0("Unrecognized save_freq: ", describe_value(value), "."),
    call = call
  )
}

is_interval <- function(value) {
  if (!inherits(value, "difftime") || length(value) != 1L) {
    return(FALSE)
  }
  seconds <- as.numeric(value, units = "secs")
  isTRUE(seconds >= shortest_interval && seconds <= longest_interval)
}

is_share <- function(value) {
  number <- sub(" *%$", "", value)
  if (number == value || !grepl("^[0-9]*[.]?[0-9]+$", number)) {
    return(FALSE)
  }
  share <- as.double(number)
  share > 0 && share <= 100
}

# Whether a function can be called with `n` arguments and no names.
takes_arguments <- function(fun, n) {
  arguments <- formals(args(fun))
  "..." %in% names(arguments) || length(arguments) >= n
}

check_after_save <- function(value, call = rlang::caller_env()) {
  if (!is.null(value) && !(is.function(value) && takes_arguments(value, 1L))) {
    abort_argument("after_save", value, "a function of one argument, or NULL", call = call)
  }
  value
}

# TRUE, FALSE or the names of signals; Python knows which ones this system has.
check_save_on_interrupt <- function(value, call = rlang::caller_env()) {
  if (checkmate::test_flag(value)) {
    return(as.logical(value))
  }
  named <- is.character(value) && length(value) && all(grepl("^SIG[A-Z0-9]+$", value))
  if (!named || any(value %in% c("SIGKILL", "SIGSTOP"))) {
    abort_argument(
      "save_on_interrupt", value,
      "TRUE, FALSE, or names of signals such as c(\"SIGTERM\", \"SIGUSR1\")", call = call
    )
  }
  unique(as.character(value))
}

check_storage_options <- function(value, filepath = NULL, call = rlang::caller_env()) {
  if (is.null(value)) {
    return(NULL)
  }
  if (!is_named_list(value)) {
    abort_argument(
      "storage_options", value, "a list with a different name for each option, or NULL",
      call = call
    )
  }
  if (length(value) && !is.null(filepath) && !is_remote(filepath)) {
    abort_argument(
      "storage_options", value, "options for a URL such as \"s3://bucket/run\"",
      headline = "`storage_options` has no use where `filepath` is a local path.", call = call
    )
  }
  value
}

# Whether each element has a name of its own; an empty list has none to lack.
is_named_list <- function(value) {
  is.list(value) && !is.object(value) && (!length(value) || rlang::is_dictionaryish(value))
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
