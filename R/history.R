#' The history of a run, from its files alone
#'
#' Every checkpoint holds the metrics of all epochs before it, also of those whose files
#' are gone. `checkpoint_history()` reads them from the newest whole file.
#'
#' @inheritParams list_checkpoints
#' @returns A `keras_training_history`, as `fit()` returns it, which can be printed, plotted
#'   and turned into a data frame. `NULL` if no file has a record.
#' @seealso [list_checkpoints()]
#' @examplesIf kerascheckpoint:::keras_is_available()
#' run <- tempfile("run-")
#' saving <- callback_model_checkpoint(file.path(run, "{epoch}.keras"), keep_last = 1)
#' model <- keras_model_sequential(input_shape = 10) |>
#'   layer_dense(1) |>
#'   compile(loss = "mse", optimizer = "adam")
#' model |> fit(random_uniform(c(64, 10)), random_uniform(c(64, 1)), epochs = 3,
#'              validation_split = .25, verbose = 0, callbacks = list(saving))
#' checkpoint_history(run)
#' @export
checkpoint_history <- function(filepath, storage_options = NULL) {
  path <- check_location(missing(filepath), filepath)
  metrics <- call_on_files(
    "checkpoint_history", path,
    storage_options = storage_options, module = "catalog", convert = TRUE
  )
  if (is.null(metrics)) {
    return(NULL)
  }
  metrics <- lapply(metrics, as.double)
  # keras3's methods want to know how many epochs there are.
  structure(
    list(params = list(epochs = max(0L, lengths(metrics))), metrics = metrics),
    class = "keras_training_history"
  )
}

# What `fit()` returns when keras3 is not installed: the metrics of each epoch.

new_history <- function(history) {
  metrics <- lapply(history$history, function(values) vapply(values, as.double, double(1L)))
  structure(list(params = history$params, metrics = metrics), class = "keras_training_history")
}

print_history <- function(x, ...) {
  epochs <- max(0L, lengths(x$metrics))
  cat(sprintf("Trained for %d epoch%s", epochs, if (epochs == 1L) "" else "s"))
  if (epochs > 0L) {
    last <- vapply(x$metrics, function(values) values[length(values)], double(1L))
    cat("; metrics of the last one:\n")
    cat(paste0("  ", format(names(last)), "  ", format(signif(last, 4L), trim = TRUE)), sep = "\n")
  }
  cat("\n")
  invisible(x)
}

# One row per epoch and metric; validation told apart from training.
history_as_data_frame <- function(x, ...) {
  rows <- lapply(names(x$metrics), function(name) {
    values <- x$metrics[[name]]
    validation <- startsWith(name, "val_")
    data.frame(
      epoch = seq_along(values),
      value = values,
      metric = rep(sub("^val_", "", name), length(values)),
      data = rep(if (validation) "validation" else "training", length(values))
    )
  })
  if (length(rows) == 0L) {
    return(data.frame(
      epoch = integer(), value = double(), metric = factor(character()),
      data = factor(character(), c("training", "validation"))
    ))
  }
  frame <- do.call(rbind, rows)
  frame$metric <- factor(frame$metric, unique(frame$metric))
  frame$data <- factor(frame$data, c("training", "validation"))
  frame
}

plot_history <- function(x, ...) {
  frame <- history_as_data_frame(x)
  if (requireNamespace("ggplot2", quietly = TRUE)) {
    return(plot_history_ggplot2(frame))
  }
  plot_history_base(frame)
  invisible(x)
}

plot_history_ggplot2 <- function(frame) {
  .data <- rlang::.data
  ggplot2::ggplot(frame, ggplot2::aes(.data$epoch, .data$value, colour = .data$data)) +
    (if (max(0L, frame$epoch) > 1L) ggplot2::geom_line(na.rm = TRUE)) +
    ggplot2::geom_point(na.rm = TRUE, size = 1.4) +
    ggplot2::facet_grid(rows = ggplot2::vars(.data$metric), scales = "free_y", switch = "y") +
    ggplot2::scale_x_continuous(breaks = whole_breaks) +
    ggplot2::scale_colour_manual(values = c(training = plot_muted, validation = plot_accent)) +
    ggplot2::labs(x = "epoch", y = NULL, colour = NULL) +
    plot_theme() +
    ggplot2::theme(legend.position = "top", strip.placement = "outside")
}

plot_history_base <- function(frame) {
  metrics <- levels(frame$metric)
  kept <- graphics::par(mfrow = c(length(metrics), 1L), mar = c(4, 5, 2, 1), las = 1, bty = "l")
  on.exit(graphics::par(kept))
  colours <- c(training = plot_muted, validation = plot_accent)
  for (metric in metrics) {
    shown <- frame[frame$metric == metric, ]
    plot(shown$epoch, shown$value, type = "n", xlab = "epoch", ylab = "")
    graphics::title(ylab = metric, line = 3.8)
    drawn <- intersect(names(colours), shown$data)
    for (name in drawn) {
      part <- shown[shown$data == name, ]
      graphics::lines(part$epoch, part$value, type = "o", pch = 16, col = colours[[name]])
    }
    graphics::legend("topright", drawn, col = colours[drawn], pch = 16, lty = 1, bty = "n")
  }
}
