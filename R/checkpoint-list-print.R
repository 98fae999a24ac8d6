# How a `checkpoint_list` shows itself in the console.

#' Print and summarise a list of checkpoints
#'
#' `print()` shows one line per file: its name within the directory that all
#' files share, the epochs (and batches) done, the monitored value, whether it was
#' the best so far when saved (`*`) and is the best of all (`**`), why and when it
#' was saved, and its size. `summary()` counts.
#'
#' @param x,object A `checkpoint_list`, from [list_checkpoints()].
#' @param n A whole number: print so many of the newest files; `Inf` for all.
#' @param ... Not used.
#'
#' @returns `print()`: `x`, invisibly. `summary()`: a list of class
#'   `summary.checkpoint_list`, with `files`, `bytes`, `epochs` (fewest and most
#'   completed), `saved_at` (first and last), `monitor`, `mode`, `best` and
#'   `latest` (one-row lists, or `NULL`), `best_value`, `keras_versions` and
#'   `backends`.
#' @seealso [plot.checkpoint_list()]
#' @examplesIf kerascheckpoint:::keras_is_available()
#' path <- tempfile(fileext = ".keras")
#' model <- keras_model_sequential(input_shape = 10) |>
#'   layer_dense(1) |>
#'   compile(loss = "mse", optimizer = "adam")
#' model |> fit(random_uniform(c(64, 10)), random_uniform(c(64, 1)), epochs = 2, verbose = 0,
#'              callbacks = list(callback_model_checkpoint(path, monitor = "loss")))
#' checkpoints <- list_checkpoints(path)
#' checkpoints
#' summary(checkpoints)
#' @export
print.checkpoint_list <- function(x, n = 20L, ...) {
  if (!has_all_columns(x)) {
    print(as.data.frame(x), ...)
    return(invisible(x))
  }
  if (nrow(x) == 0L) {
    cat("No checkpoints.\n")
    return(invisible(x))
  }
  shown <- utils::tail(seq_len(nrow(x)), check_rows(n))
  directory <- common_directory(x$path)
  cat(count(nrow(x), "checkpoint"), ", ", format_bytes(sum(x$size)), ", in ", directory, "\n\n",
      sep = "")
  columns <- display_columns(x, directory)[shown, , drop = FALSE]
  headings <- c(value = value_heading(x), saved = "saved (UTC)")[names(columns)]
  writeLines(format_table(columns, ifelse(is.na(headings), names(columns), headings)))
  if (length(shown) < nrow(x)) {
    cat("(and ", nrow(x) - length(shown), " older; print(n = ", nrow(x), ") shows all)\n", sep = "")
  }
  invisible(x)
}

check_rows <- function(n, call = rlang::caller_env()) {
  if (identical(n, Inf)) largest_integer else check_whole(n, "n", lower = 1L, call = call)
}

display_columns <- function(x, directory) {
  marks <- ifelse(x$best %in% TRUE, "*", "")
  marks[best_of(x)$row] <- "**"
  columns <- data.frame(
    file = within_directory(x$path, directory),
    epoch = format_progress(x$epoch, x$batch),
    value = blank_na(signif(x$value, 4L)),
    best = marks,
    reason = blank_na(x$reason),
    saved = format(x$saved_at, "%Y-%m-%d %H:%M:%S"),
    size = format_bytes(x$size)
  )
  if (length(monitors_of(x)) > 1L) {
    columns <- cbind(columns[1:2], monitor = blank_na(x$monitor), columns[3:7])
  }
  columns[vapply(columns, function(column) any(nzchar(column)), NA)]
}

# The monitored metric itself, where all files have the same one.
value_heading <- function(x) if (length(monitors_of(x)) == 1L) monitors_of(x) else "value"

monitors_of <- function(x) unique(x$monitor[!is.na(x$monitor)])

# One line per row however long it is: a path is never cut short or torn apart.
format_table <- function(columns, headings) {
  cells <- Map(function(heading, column) format(c(heading, column)), headings, columns)
  trimws(do.call(paste, c(unname(cells), sep = "  ")), "right")
}

format_progress <- function(epoch, batch) {
  between <- !is.na(batch) & batch > 0L
  paste0(blank_na(epoch), ifelse(between, paste0(" + ", batch, " batches"), ""))
}

blank_na <- function(x) ifelse(is.na(x), "", format(x, trim = TRUE))

count <- function(n, noun) paste0(n, " ", noun, if (n == 1L) "" else "s")

#' @rdname print.checkpoint_list
#' @export
summary.checkpoint_list <- function(object, ...) {
  best <- best_of(object)
  structure(
    list(
      files = nrow(object),
      bytes = sum(object$size),
      epochs = known_range(object$epoch),
      saved_at = known_range(object$saved_at),
      monitor = best$monitor,
      mode = best$mode,
      best_value = best$value,
      best = if (is.na(best$row)) NULL else object[best$row, ],
      latest = if (nrow(object) == 0L) NULL else object[nrow(object), ],
      keras_versions = sort(unique(object$keras_version)),
      backends = sort(unique(object$backend))
    ),
    class = "summary.checkpoint_list"
  )
}

known_range <- function(x) if (all(is.na(x))) rep(x[NA_integer_], 2L) else range(x, na.rm = TRUE)

#' @export
print.summary.checkpoint_list <- function(x, ...) {
  line <- function(label, ...) cat(formatC(label, width = -8L), ..., "\n", sep = "")
  line("files", x$files, ", ", format_bytes(x$bytes))
  if (x$files > 0L) {
    if (!anyNA(x$epochs)) {
      line("epochs", paste(unique(x$epochs), collapse = " to "))
    }
    line("saved", paste(unique(format(x$saved_at, "%Y-%m-%d %H:%M:%S")), collapse = " to "), " UTC")
    line("latest", x$latest$path)
  }
  if (!is.null(x$best)) {
    line("best", x$best$path)
    line("", x$monitor, " ", signif(x$best_value, 4L), " after epoch ",
         format_progress(x$best$epoch, x$best$batch))
  }
  if (length(x$keras_versions)) {
    line("keras", paste(c(x$keras_versions, x$backends), collapse = ", "))
  }
  invisible(x)
}
