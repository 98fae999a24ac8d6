# The data frame of class `checkpoint_list`, made of Python's `CheckpointInfo`s.

# All files cross in one JSON text: fast for thousands, and numbers beyond 32 bits
# arrive as doubles where reticulate would corrupt Python integers.
new_checkpoint_list <- function(infos) {
  text <- core("checkpoint_info")$to_json(infos)
  checkpoint_list_from_json(text)
}

# The columns that every list has, before those of the metrics.
fixed_columns <- c(
  "path", "epoch", "batch", "step", "monitor", "mode", "value", "best", "reason", "saved_at",
  "size", "weights_only", "keras_version", "backend", "schema"
)

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
  metrics <- metric_columns(lapply(infos, `[[`, "metrics"))
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

metric_columns <- function(metrics) {
  names <- unique(unlist(lapply(metrics, names)))
  columns <- lapply(names, function(name) column(metrics, name, double(1L)))
  stats::setNames(columns, metric_column(names))
}

# The column of a metric: its own name, or with a prefix where that name is taken.
# A metric that is itself called like such a column gets one prefix more, so every
# metric has a column of its own, whichever others there are.
metric_column <- function(metric) {
  ifelse(sub(metric_prefixes, "", metric) %in% fixed_columns, paste0("metric_", metric), metric)
}

metric_prefixes <- "^(metric_)+"

# The metrics of a list by their own names, and the values of one.
metric_names <- function(x) {
  columns <- setdiff(names(x), fixed_columns)
  taken <- sub(metric_prefixes, "", columns) %in% fixed_columns
  ifelse(taken, sub("^metric_", "", columns), columns)
}

metric_values <- function(x, metric) {
  column <- metric_column(metric)
  if (column %in% names(x)) as.double(x[[column]]) else rep(NA_real_, nrow(x))
}

# 2026-01-31T12:00:00.123456+00:00, as Python writes it, always in UTC.
as_utc <- function(text) {
  as.POSIXct(sub("(Z|[+]00:00)$", "", text), format = "%Y-%m-%dT%H:%M:%OS", tz = "UTC")
}

# ---- what print, summary and plot have in common ----

# `[` may drop columns; what is left is then shown as an ordinary data frame.
has_all_columns <- function(x) all(fixed_columns %in% names(x))

# The file that `best_checkpoint()` names: its row, by what, in which direction and
# with which value; all NA if no file has a rank. It goes by what the newest file
# monitored; of equal ones it is the oldest, for the later ones were no
# improvement; it is never one whose metrics are those of an epoch cut short.
best_of <- function(x) {
  ours <- !is.na(x$schema)
  monitor <- utils::tail(x$monitor[ours & !is.na(x$monitor)], 1L)
  mode <- utils::tail(x$mode[ours & x$monitor %in% monitor & !is.na(x$mode)], 1L)
  values <- if (length(mode)) metric_values(x, monitor)
  values[!ours | (x$reason %in% "interrupt" & !x$batch %in% 0L)] <- NA
  if (all(is.na(values))) {
    return(list(row = NA_integer_, monitor = NA_character_, mode = NA_character_, value = NA_real_))
  }
  row <- if (mode == "max") which.max(values) else which.min(values)
  list(row = row, monitor = monitor, mode = mode, value = values[[row]])
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
