# The data frame of class `checkpoint_list`, made of Python's `CheckpointInfo`s.

# All files cross in one JSON text: fast for thousands, and numbers beyond 32 bits
# arrive as doubles where reticulate would corrupt Python integers.
new_checkpoint_list <- function(infos) {
  text <- core("checkpoint_info")$to_json(infos)
  checkpoint_list_from_json(text)
}

checkpoint_list_from_json <- function(text) {
  infos <- jsonlite::fromJSON(text, simplifyVector = FALSE)
  frame <- data.frame(
    path = column(infos, "path", character(1L)),
    epoch = column(infos, "epoch", integer(1L)),
    batch = column(infos, "batch", integer(1L)),
    step = column(infos, "step", double(1L)),
    monitor = column(infos, "monitor", character(1L)),
    mode = column(infos, "mode", character(1L)),
    value = column(infos, "value", double(1L)),
    best = column(infos, "best", logical(1L)),
    reason = column(infos, "reason", character(1L)),
    saved_at = as_utc(column(infos, "saved_at", character(1L))),
    size = column(infos, "size", double(1L)),
    weights_only = column(infos, "weights_only", logical(1L)),
    keras_version = column(infos, "keras_version", character(1L)),
    backend = column(infos, "backend", character(1L)),
    schema = column(infos, "schema", integer(1L)),
    stringsAsFactors = FALSE
  )
  metrics <- metric_columns(lapply(infos, `[[`, "metrics"), taken = names(frame))
  frame[names(metrics)] <- metrics
  structure(frame, class = c("checkpoint_list", "data.frame"))
}

# One field of all infos, NA where it is null; whole numbers that no integer
# holds are NA as well.
column <- function(infos, field, type) {
  missing <- type[NA_integer_]
  vapply(infos, function(info) as_type(info[[field]], type, missing), type)
}

as_type <- function(value, type, missing) {
  if (is.null(value) || (is.integer(type) && abs(value) > largest_integer)) {
    return(missing)
  }
  storage.mode(value) <- typeof(type)
  value
}

metric_columns <- function(metrics, taken) {
  names <- unique(unlist(lapply(metrics, names)))
  columns <- lapply(names, function(name) column(metrics, name, double(1L)))
  free <- ifelse(names %in% taken, paste0("metric_", names), names)
  names(columns) <- make.unique(c(taken, free))[length(taken) + seq_along(free)]
  columns
}

# 2026-01-31T12:00:00.123456+00:00, as Python writes it, always in UTC.
as_utc <- function(text) {
  as.POSIXct(sub("(Z|[+]00:00)$", "", text), format = "%Y-%m-%dT%H:%M:%OS", tz = "UTC")
}

# ---- what print, summary and plot have in common ----

# `[` may drop columns; what is left is then shown as an ordinary data frame.
has_all_columns <- function(x) {
  all(c(
    "path", "epoch", "batch", "step", "monitor", "mode", "value", "best", "reason", "saved_at",
    "size", "weights_only", "keras_version", "backend"
  ) %in% names(x))
}

# Row of the file with the best value of what the newest file monitored, NA if no
# file has a rank. Of equal ones the oldest: the later ones were no improvement.
best_row <- function(x) {
  ranked <- which(!is.na(x$value) & !is.na(x$mode) & !is.na(x$monitor))
  if (length(ranked) == 0L) {
    return(NA_integer_)
  }
  newest <- ranked[length(ranked)]
  rivals <- ranked[x$monitor[ranked] == x$monitor[newest]]
  pick <- if (x$mode[newest] == "max") which.max else which.min
  rivals[pick(x$value[rivals])]
}

# The directory all files share, and each file's path within it.
common_directory <- function(paths) {
  directories <- unique(dirname(paths))
  if (length(directories) == 0L) {
    return("")
  }
  parts <- strsplit(directories, "/", fixed = TRUE)
  shared <- Reduce(function(one, other) {
    n <- min(length(one), length(other))
    differs <- which(one[seq_len(n)] != other[seq_len(n)])
    one[seq_len(if (length(differs)) differs[[1L]] - 1L else n)]
  }, parts)
  paste(shared, collapse = "/")
}

within_directory <- function(paths, directory) {
  substring(paths, nchar(directory) + 2L)
}

format_bytes <- function(bytes) {
  power <- pmin(4, floor(log(pmax(bytes, 1, na.rm = TRUE), 1000)))
  scaled <- bytes / 1000^power
  digits <- ifelse(power > 0 & !is.na(bytes) & scaled < 9.95, 1L, 0L)
  unit <- c("B", "kB", "MB", "GB", "TB")[power + 1L]
  ifelse(is.na(bytes), "?", paste(sprintf("%.*f", digits, scaled), unit))
}
