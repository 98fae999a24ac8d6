#' Plot the checkpoints of a run
#'
#' Draws one point for each file: how far training was when it was saved, and the value
#' of a metric. Filled points were the best so far when they were saved. A ring marks
#' the best file, a dotted line and a label beside the panel show its value. If the
#' other half of the metric is known (`loss` for `val_loss` and the other way round), a
#' thin dashed line shows it.
#'
#' What is "best" is decided by the metric that was monitored. In a plot of another
#' metric, ring and fill still show what is best by the monitored one, and the legend
#' and the subtitle say so.
#'
#' A list of several runs, from `list_checkpoints(c("run-a", "run-b"))` or [rbind()], is
#' drawn with one line for each run; the legend gives the best value of each.
#'
#' Files whose value is unknown or not a number are left out, and a caption counts them.
#'
#' @param x,object A `checkpoint_list`, from [list_checkpoints()].
#' @param metric A string: the metric to show. By default the metric that the newest
#'   ranked file monitored.
#' @param ... Not used.
#'
#' @returns `autoplot()`, and `plot()` where ggplot2 is installed, return a ggplot object,
#'   which draws itself when it is printed and can be added to. Without ggplot2, `plot()`
#'   draws with base graphics and returns `x`, invisibly.
#' @seealso [list_checkpoints()]
#' @examplesIf kerascheckpoint:::keras_is_available()
#' run <- tempfile("run-")
#' saving <- callback_model_checkpoint(file.path(run, "{epoch:02d}.weights.h5"),
#'                                     save_weights_only = TRUE)
#' model <- keras_model_sequential(input_shape = 10) |>
#'   layer_dense(1) |>
#'   compile(loss = "mse", optimizer = "adam")
#' model |> fit(random_uniform(c(64, 10)), random_uniform(c(64, 1)), epochs = 5,
#'              validation_split = .25, verbose = 0, callbacks = list(saving))
#' plot(list_checkpoints(run))
#' plot(list_checkpoints(run), metric = "loss")
#' @export
plot.checkpoint_list <- function(x, metric = NULL, ...) {
  data <- plot_data(x, metric)
  if (requireNamespace("ggplot2", quietly = TRUE)) {
    return(draw_with_ggplot2(data))
  }
  draw_with_base_graphics(data)
  invisible(x)
}

#' @rdname plot.checkpoint_list
#' @exportS3Method ggplot2::autoplot
autoplot.checkpoint_list <- function(object, metric = NULL, ...) { # nolint: object_name_linter.
  draw_with_ggplot2(plot_data(object, metric))
}

# What the picture shows, whatever draws it: `points` in their order, and texts.
plot_data <- function(x, metric, call = rlang::caller_env()) {
  check_plot_columns(x, call)
  best <- best_of(x)
  metric <- metric_to_plot(x, metric, best$monitor, call)
  axis <- progress_axis(x)
  points <- data.frame(
    at = axis$at, value = metric_values(x, metric),
    paired = metric_values(x, paired_metric(metric)), path = x$path,
    was_best = x$best %in% TRUE, is_best = is_best_of_run(x)
  )
  unknown <- is.na(points$at) | !is.finite(points$value)
  if (all(unknown)) {
    abort_nothing_to_plot(call)
  }
  run <- plotted_runs(x, points)
  points$run <- factor(run, unique(run))
  points <- points[!unknown, ]
  points <- points[order(points$run, points$at), ]
  list(
    points = points,
    metric = printable(metric),
    monitor = printable(best$monitor),
    by_other = !metric %in% best$monitor,
    paired = paired_to_plot(points, metric),
    axis = axis$label,
    title = paste(printable(metric), "at each checkpoint"),
    subtitle = plot_subtitle(x, points, best, metric),
    caption = if (any(unknown)) {
      sprintf("%d of %s without a value", sum(unknown), count(nrow(x), "file"))
    }
  )
}

# What the picture is made of. `[` and dplyr may have dropped some of it.
plot_columns <- c(
  "path", "epoch", "batch", "step", "monitor", "mode", "best", "reason", "saved_at", "schema"
)

check_plot_columns <- function(x, call) {
  lacking <- setdiff(plot_columns, names(x))
  if (length(lacking)) {
    abort(
      c(
        "There is nothing to plot.",
        x = paste("`x` lacks the columns", paste0("`", lacking, "`", collapse = ", ")),
        i = "Plot the whole list, as list_checkpoints() returns it; rows may be left out."
      ),
      class = "kerascheckpoint_argument_error", argument = "x", call = call
    )
  }
}

# The metric asked for, or the monitored one, or any.
metric_to_plot <- function(x, metric, monitor, call) {
  known <- metric_names(x)
  if (is.null(metric)) {
    choices <- c(monitor[monitor %in% known], known)
    return(if (length(choices)) choices[[1L]] else abort_nothing_to_plot(call))
  }
  metric <- check_string(metric, "metric", call = call)
  if (!metric %in% known) {
    listed <- paste0("\"", printable(known), "\"", collapse = ", ")
    abort_argument("metric", metric, paste("a metric of these files:", listed), call = call)
  }
  metric
}

abort_nothing_to_plot <- function(call) {
  abort(
    c("There is nothing to plot.", i = "No file says both an epoch and a value of a metric."),
    class = "kerascheckpoint_argument_error", argument = "x", call = call
  )
}

# The same metric on the other data: `loss` for `val_loss` and the other way round.
paired_metric <- function(metric) {
  if (startsWith(metric, "val_")) substring(metric, 5L) else paste0("val_", metric)
}

# Of several runs only the metric itself is drawn: more lines would be hard to tell
# apart.
paired_to_plot <- function(points, metric) {
  if (nlevels(points$run) == 1L && sum(is.finite(points$paired)) > 1L) {
    printable(paired_metric(metric))
  }
}

# Epochs completed, with the part of the one begun; batches where no epoch is done.
progress_axis <- function(x) {
  inside <- !is.na(x$batch) & x$batch > 0L
  if (!any(inside)) {
    return(list(at = as.double(x$epoch), label = "epochs completed"))
  }
  per_epoch <- stats::median(((x$step - x$batch) / x$epoch)[x$epoch > 0L], na.rm = TRUE)
  if (is.na(per_epoch) || per_epoch <= 0) {
    return(list(at = x$step, label = "batches trained"))
  }
  list(at = x$epoch + ifelse(inside, x$batch / per_epoch, 0), label = "epochs completed")
}

# The run that each point belongs to. Without a column `run`, two values at one place
# of the axis tell that the files are of several runs; these are then told apart by
# their directories, or by what their names have besides numbers.
plotted_runs <- function(x, points) {
  if ("run" %in% names(x)) {
    return(printable(as.character(x$run)))
  }
  files <- within_directory(x$path, common_directory(x$path))
  candidates <- list(rep("", nrow(x)), dirname(files), gsub("[0-9]+([.][0-9]+)?", "#", files))
  for (run in candidates) {
    if (!any(collides(points, run))) {
      break
    }
  }
  printable(run)
}

collides <- function(points, run) {
  known <- is.finite(points$at) & is.finite(points$value)
  place <- data.frame(run = run, at = points$at)[known, ]
  duplicated(place) & !duplicated(cbind(place, value = points$value[known]))
}

plot_subtitle <- function(x, points, best, metric) {
  directory <- common_directory(x$path)
  lines <- paste0(count(nrow(x), "file"), " in ", printable(basename(directory)), "/")
  marked <- which(points$is_best)
  if (length(marked) == 1L) {
    by <- if (metric %in% best$monitor) "" else paste0(" by ", printable(best$monitor))
    file <- printable(within_directory(points$path[marked], directory))
    lines <- c(lines, paste0("best", by, ": ", file))
  }
  paste(lines, collapse = "\n")
}

# ---- texts that both ways to draw share ----

format_value <- function(values) {
  vapply(values, function(value) format(signif(value, 4L)), "")
}

# Stands beside the panel at the height of the best, where no point can lie.
best_label <- function(data, best) {
  by <- if (data$by_other) paste0("best by\n", data$monitor) else "best"
  paste0(by, "\n", format_value(best$value))
}

run_labels <- function(data) {
  runs <- levels(data$points$run)
  best <- data$points[data$points$is_best, ]
  value <- best$value[match(runs, best$run)]
  ifelse(is.na(value), runs, paste0(runs, " (best: ", format_value(value), ")"))
}

# For filled and for open points.
fill_labels <- function(data) {
  by <- if (data$by_other && !is.na(data$monitor)) paste(" by", data$monitor) else ""
  c(paste0("best", by, " when saved"), "not the best")
}

point_size <- function(points) if (nrow(points) > 150L) 1.2 else if (nrow(points) > 60L) 2 else 2.8
