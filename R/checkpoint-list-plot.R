#' Plot the checkpoints of a run
#'
#' One point for each file: how far training was when it was saved, and the value
#' of a metric. Filled points were the best so far when they were saved; the best
#' of all is marked and labelled. If the other half of the metric is known
#' (`loss` of `val_loss`, and the other way round), it is drawn as a thin line.
#'
#' @param x A `checkpoint_list`, from [list_checkpoints()].
#' @param metric A string: the metric to show. By default the one that the newest
#'   ranked file was monitored by.
#' @param ... Not used.
#'
#' @returns With ggplot2 installed, a ggplot object, which draws itself when
#'   printed and can be added to. Without it, the plot is drawn by base graphics
#'   and `x` returned invisibly.
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
  picture <- checkpoint_picture(x, metric)
  if (requireNamespace("ggplot2", quietly = TRUE)) {
    return(draw_with_ggplot2(picture))
  }
  draw_with_base_graphics(picture)
  invisible(x)
}

# What is to be seen, whatever draws it.
checkpoint_picture <- function(x, metric, call = rlang::caller_env()) {
  best <- best_of(x)
  metric <- metric_to_plot(x, metric, best$monitor, call)
  axis <- progress_axis(x)
  points <- data.frame(
    at = axis$at, value = metric_values(x, metric),
    partner = metric_values(x, partner_of(metric)),
    best = factor(ifelse(x$best %in% TRUE, "best so far", "not the best"),
                  c("best so far", "not the best"))
  )
  points$is_best <- seq_len(nrow(x)) %in% if (metric %in% best$monitor) best$row
  points <- points[!is.na(points$at) & !is.na(points$value), ]
  if (nrow(points) == 0L) {
    abort_nothing_to_plot(call)
  }
  directory <- common_directory(x$path)
  list(
    points = points[order(points$at), ],
    metric = metric,
    partner = if (all(is.na(points$partner))) NULL else partner_of(metric),
    axis = axis$label,
    title = paste(metric, "at each checkpoint"),
    subtitle = paste0(
      count(nrow(x), "file"), " in ", basename(directory), "/",
      if (!is.na(best$row)) paste0(", best: ", within_directory(x$path[best$row], directory))
    ),
    mode = best$mode
  )
}

# The one that was asked for, or the monitored one, or any that there is.
metric_to_plot <- function(x, metric, monitor, call) {
  known <- metric_names(x)
  if (is.null(metric)) {
    choices <- c(monitor[!is.na(monitor)], known)
    return(if (length(choices)) choices[[1L]] else abort_nothing_to_plot(call))
  }
  metric <- check_string(metric, "metric", call = call)
  if (!metric %in% c(known, monitor)) {
    listed <- paste0("\"", known, "\"", collapse = ", ")
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

partner_of <- function(metric) {
  if (startsWith(metric, "val_")) substring(metric, 5L) else paste0("val_", metric)
}

# Epochs completed, with the part of the one begun; batches where no epoch is done.
progress_axis <- function(x) {
  per_epoch <- stats::median(((x$step - x$batch) / x$epoch)[x$epoch > 0L], na.rm = TRUE)
  within <- x$batch %in% 0L | is.na(x$batch)
  if (all(within)) {
    return(list(at = as.double(x$epoch), label = "epochs completed"))
  }
  if (is.na(per_epoch) || per_epoch <= 0) {
    return(list(at = x$step, label = "batches trained"))
  }
  list(at = x$epoch + ifelse(within, 0, x$batch / per_epoch), label = "epochs completed")
}

best_label <- function(best) paste("best:", format(signif(best$value, 4L)))

# Which part of the label stands over its point, so that it stays within the plot.
label_side <- function(points) {
  width <- diff(range(points$at))
  position <- (points$at[points$is_best] - min(points$at)) / width
  if (length(position) == 0L || width == 0) {
    return(.5)
  }
  if (position > .85) 1 else if (position < .15) 0 else .5
}

draw_with_ggplot2 <- function(picture) {
  .data <- rlang::.data
  points <- picture$points
  best <- points[points$is_best, ]
  # The label stands where the curve rarely is: above a minimum, below a maximum.
  above <- !identical(picture$mode, "max")
  plot <- ggplot2::ggplot(points, ggplot2::aes(.data$at, .data$value))
  if (nrow(points) > 1L) {
    if (!is.null(picture$partner)) {
      plot <- plot + ggplot2::geom_line(
        ggplot2::aes(y = .data$partner, linetype = picture$partner),
        colour = plot_muted, na.rm = TRUE
      )
    }
    plot <- plot + ggplot2::geom_line(colour = plot_accent, linewidth = .6, alpha = .6)
  }
  plot +
    ggplot2::geom_label(
      data = best, label = best_label(best), colour = plot_best, fontface = "bold",
      vjust = if (above) -.7 else 1.7, hjust = label_side(points), size = 3.8, label.size = 0,
      fill = "white", alpha = .85, label.padding = ggplot2::unit(.15, "lines")
    ) +
    ggplot2::geom_point(
      ggplot2::aes(fill = .data$best),
      shape = 21, size = 2.8, stroke = .9, colour = plot_accent
    ) +
    ggplot2::geom_point(data = best, shape = 21, size = 5.5, stroke = 1.2, colour = plot_best) +
    ggplot2::scale_fill_manual(
      values = c("best so far" = plot_accent, "not the best" = "white"), drop = FALSE
    ) +
    ggplot2::scale_linetype_manual(values = 5) +
    ggplot2::guides(
      fill = ggplot2::guide_legend(order = 1), linetype = ggplot2::guide_legend(order = 2)
    ) +
    ggplot2::scale_x_continuous(breaks = whole_breaks) +
    ggplot2::scale_y_continuous(expand = ggplot2::expansion(mult = .1)) +
    ggplot2::labs(
      title = picture$title, subtitle = picture$subtitle, x = picture$axis, y = picture$metric,
      fill = "when saved", linetype = NULL
    ) +
    plot_theme()
}

draw_with_base_graphics <- function(picture) {
  points <- picture$points
  best <- points[points$is_best, ]
  kept <- graphics::par(las = 1, bty = "l", mar = c(6, 4.5, 4, 1))
  on.exit(graphics::par(kept))
  limits <- range(points$value, points$partner, na.rm = TRUE)
  margin <- .08 * max(diff(limits), 1e-9)
  plot(points$at, points$value, type = "n", ylim = limits + c(-margin, margin),
       xlab = "", ylab = picture$metric, xaxt = "n")
  graphics::axis(1, at = whole_breaks(range(points$at)))
  graphics::title(picture$title, line = 2, adj = 0)
  graphics::title(xlab = picture$axis, line = 2.5)
  graphics::mtext(picture$subtitle, line = .8, adj = 0, col = "grey35")
  if (!is.null(picture$partner)) {
    graphics::lines(points$at, points$partner, lty = 5, col = plot_muted)
  }
  graphics::lines(points$at, points$value, col = plot_accent)
  graphics::points(points$at, points$value, pch = 21, col = plot_accent, cex = 1.3,
                   bg = ifelse(points$best == "best so far", plot_accent, "white"))
  if (nrow(best)) {
    graphics::points(best$at, best$value, pch = 21, cex = 2.4, lwd = 2, col = plot_best)
    graphics::text(best$at, best$value, best_label(best), font = 2, col = plot_best, xpd = NA,
                   adj = c(label_side(points), if (identical(picture$mode, "max")) 2.2 else -1.2))
  }
  draw_base_legend(picture)
}

draw_base_legend <- function(picture) {
  entries <- c("best so far", "not the best", picture$partner)
  shown <- seq_along(entries)
  graphics::legend(
    x = mean(graphics::par("usr")[1:2]), y = graphics::grconvertY(0.01, "nfc", "user"),
    xjust = .5, yjust = 0, xpd = NA, bty = "n", horiz = TRUE, legend = entries,
    text.width = 1.15 * max(graphics::strwidth(entries)),
    pch = c(21, 21, NA)[shown], lty = c(0, 0, 5)[shown],
    pt.bg = c(plot_accent, "white", NA)[shown],
    col = c(plot_accent, plot_accent, plot_muted)[shown]
  )
}
