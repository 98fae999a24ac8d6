# How a `checkpoint_list` shows itself in the console.

#' Print and summarise a list of checkpoints
#'
#' `print()` shows one line per file: its name within the directory that all files
#' share, the epochs (and batches) done, the monitored value, whether it was the best
#' so far when it was saved (`*`) or is the best of its run (`**`), why and when it was
#' saved, and its size. `summary()` counts.
#'
#' `2 + 3/8 batches` stands for two whole epochs and three of the eight batches of the
#' next one. A part of a list, such as `tail(x)`, marks with `**` what is the best of
#' the whole list. In a narrow console the columns `reason`, `size` and `saved` are
#' left out, in this order, and a last line says so; paths are never cut short.
#' Control characters in names are shown by their codes.
#'
#' @param x,object A `checkpoint_list`, from [list_checkpoints()].
#' @param n A whole number: how many of the newest files to print; `Inf` for all.
#' @param ... Not used.
#'
#' @returns `print()` returns `x`, invisibly. `summary()` returns a list of class
#'   `summary.checkpoint_list` with `files`, `bytes`, `epochs` (fewest and most
#'   completed), `saved_at` (first and last), `monitor`, `mode`, `best` and `latest`
#'   (lists of one row, or `NULL`), `best_value`, `keras_versions` and `backends`. `best`
#'   is the best of the files in `object`.
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
  if (!all(fixed_columns %in% names(x))) {
    print(as.data.frame(x), ...)
    return(invisible(x))
  }
  if (nrow(x) == 0L) {
    cat("No checkpoints.\n")
    return(invisible(x))
  }
  shown <- utils::tail(seq_len(nrow(x)), check_rows(n))
  directory <- common_directory(x$path)
  place <- if (nzchar(directory)) paste(", in", printable(directory)) else ""
  cat(count(nrow(x), "checkpoint"), ", ", format_bytes(sum(x$size)), place, "\n\n", sep = "")
  columns <- lapply(display_columns(x, directory), `[`, shown)
  print_columns(columns[vapply(columns, function(column) any(nzchar(column)), NA)], x$monitor)
  if (length(shown) < nrow(x)) {
    cat("(and ", nrow(x) - length(shown), " older; print(n = ", nrow(x), ") shows all)\n", sep = "")
  }
  invisible(x)
}

check_rows <- function(n, call = rlang::caller_env()) {
  if (identical(n, Inf)) largest_integer else check_whole(n, "n", lower = 1L, call = call)
}

# All columns as text.
display_columns <- function(x, directory) {
  marks <- ifelse(x$best %in% TRUE, "*", "")
  marks[is_best_of_run(x)] <- "**"
  columns <- list(
    run = if ("run" %in% names(x)) printable(as.character(x$run)),
    file = printable(within_directory(x$path, directory)),
    epoch = format_progress(x),
    monitor = if (length(unique(known(x$monitor))) > 1L) blank_na(printable(x$monitor)),
    value = blank_na(signif(x$value, 4L)),
    best = marks,
    reason = blank_na(x$reason),
    saved = format(x$saved_at, "%Y-%m-%d %H:%M:%S"),
    size = format_bytes(x$size)
  )
  columns[lengths(columns) > 0L]
}

# Leaves out columns that the console has no room for, the least important first.
print_columns <- function(columns, monitor) {
  left_out <- character()
  for (name in c("", intersect(c("reason", "size", "saved"), names(columns)))) {
    left_out <- c(left_out, name)
    lines <- format_table(columns[setdiff(names(columns), left_out)], monitor)
    if (max(nchar(lines, "width")) <= getOption("width")) break
  }
  writeLines(lines)
  if (length(left_out) > 1L) {
    cat("(too narrow for: ", paste(left_out[-1L], collapse = ", "), ")\n", sep = "")
  }
}

# The value stands under the name of its metric, where all files monitored the same.
format_table <- function(columns, monitor) {
  monitor <- unique(known(monitor))
  headings <- c(saved = "saved (UTC)", value = if (length(monitor) == 1L) printable(monitor))
  headings <- ifelse(is.na(headings[names(columns)]), names(columns), headings[names(columns)])
  cells <- Map(function(heading, column) format(c(heading, column)), headings, columns)
  trimws(do.call(paste, c(unname(cells), sep = "  ")), "right")
}

format_progress <- function(x) {
  inside <- !is.na(x$batch) & x$batch > 0L
  of_all <- paste0("/", batches_per_epoch(x))
  batches <- paste0(" + ", x$batch, ifelse(of_all == "/NA", "", of_all), " batches")
  paste0(blank_na(x$epoch), ifelse(inside, batches, ""))
}

# How many batches an epoch has in the run of each row: known once an epoch is done,
# and where all epochs are of one length. NA elsewhere.
batches_per_epoch <- function(x) {
  sizes <- (x$step - x$batch) / x$epoch
  sizes[is.na(x$epoch) | x$epoch == 0L | sizes <= 0 | sizes %% 1 != 0] <- NA
  stats::ave(sizes, run_of(x), FUN = function(sizes) {
    sizes <- unique(known(sizes))
    if (length(sizes) == 1L) sizes else NA_real_
  })
}

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
      latest = if (nrow(object) == 0L) NULL else object[newest_row(object), ],
      keras_versions = sort(unique(object$keras_version)),
      backends = sort(unique(object$backend))
    ),
    class = "summary.checkpoint_list"
  )
}

newest_row <- function(x) utils::tail(order(x$saved_at, na.last = FALSE), 1L)

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
    line("latest", printable(x$latest$path))
  }
  if (!is.null(x$best)) {
    line("best", printable(x$best$path))
    line("", printable(x$monitor), " ", signif(x$best_value, 4L), " after epoch ",
         format_progress(x$best))
  }
  if (length(x$keras_versions)) {
    line("keras", paste(printable(c(x$keras_versions, x$backends)), collapse = ", "))
  }
  invisible(x)
}
