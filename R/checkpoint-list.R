# The data frame of class `checkpoint_list`: one row per checkpoint.

# Makes a list of Python's `CheckpointInfo`s. They cross in one JSON text, which is
# fast for thousands of files; and numbers beyond 32 bits arrive as doubles, where
# reticulate would corrupt Python's integers.
new_checkpoint_list <- function(infos) {
  text <- core("checkpoint_info")$to_json(infos)
  checkpoint_list_from_json(text)
}

# A list of one file, of which nobody can tell whether it is the best of its run.
single_checkpoint <- function(info) {
  structure(new_checkpoint_list(list(info)), best_paths = character())
}

# The columns that every list has, before those of the metrics. A list of several
# runs has the column "run" in front.
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
  as_checkpoint_list(frame)
}

as_checkpoint_list <- function(frame) {
  structure(frame, class = c("checkpoint_list", "data.frame"), best_paths = best_paths(frame))
}

# Returns one field of all infos: NA where it is null, and where a whole number
# does not fit into an R integer.
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

# Returns the column of a metric: its name, or with the prefix "metric_" where that
# name is taken. A metric that is itself called "metric_size" gets one more prefix,
# so that each metric has a column of its own, whichever others there are.
metric_column <- function(metric) {
  ifelse(is_reserved(metric), paste0("metric_", metric), metric)
}

is_reserved <- function(name) sub(metric_prefixes, "", name) %in% c("run", fixed_columns)

metric_prefixes <- "^(metric_)+"

# The metrics of a list, by their own names.
metric_names <- function(x) {
  columns <- setdiff(names(x), c("run", fixed_columns))
  ifelse(is_reserved(columns), sub("^metric_", "", columns), columns)
}

metric_values <- function(x, metric) {
  column <- metric_column(metric)
  if (column %in% names(x)) as.double(x[[column]]) else rep(NA_real_, nrow(x))
}

# Reads times as Python writes them, always in UTC: 2026-01-31T12:00:00.123456+00:00.
as_utc <- function(text) {
  as.POSIXct(sub("(Z|[+]00:00)$", "", text), format = "%Y-%m-%dT%H:%M:%OS", tz = "UTC")
}

# ---- the best of a list ----

# Finds the file that `best_checkpoint()` names: its row, the metric, the direction
# and the value; all NA if no file has a rank. The newest file says which metric
# counts. Of equal values the oldest wins, since the later ones are no improvement.
# A file saved in an epoch that a signal cut short has no rank.
best_of <- function(x) {
  ours <- !is.na(x$schema)
  age <- order(x$saved_at, na.last = FALSE)
  newest <- rev(age)
  monitor <- known(x$monitor[newest][ours[newest]])[1L]
  mode <- known(x$mode[newest][(ours & x$monitor %in% monitor)[newest]])[1L]
  values <- if (is.na(mode)) rep(NA_real_, nrow(x)) else metric_values(x, monitor)
  values[!ours | is_cut_short(x)] <- NA
  if (all(is.na(values))) {
    return(list(row = NA_integer_, monitor = NA_character_, mode = NA_character_, value = NA_real_))
  }
  first <- if (mode == "max") which.max else which.min
  row <- age[first(values[age])]
  list(row = row, monitor = monitor, mode = mode, value = values[[row]])
}

known <- function(x) x[!is.na(x)]

is_cut_short <- function(x) x$reason %in% "interrupt" & !x$batch %in% 0L

# Tells which rows are the best of their run, whichever rows are looked at: what was
# the best when the list was read stays it in a part of the list.
is_best_of_run <- function(x) {
  best <- attr(x, "best_paths")
  x$path %in% if (is.null(best)) best_paths(x) else best
}

best_paths <- function(x) {
  paths <- lapply(split(x, run_of(x)), function(run) run$path[best_of(run)$row])
  known(unlist(paths, use.names = FALSE))
}

# The run of each row; one run where nothing tells several apart.
run_of <- function(x) if ("run" %in% names(x)) as.character(x$run) else rep("", nrow(x))
