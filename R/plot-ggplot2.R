# The picture of a `checkpoint_list` by ggplot2.

draw_with_ggplot2 <- function(data) {
  if (nlevels(data$points$run) > 1L) draw_runs(data) else draw_one_run(data)
}

draw_one_run <- function(data) {
  .data <- rlang::.data
  points <- data$points
  best <- points[points$is_best, ]
  plot <- base_plot(data)
  if (!is.null(data$paired)) {
    plot <- plot +
      ggplot2::geom_line(
        ggplot2::aes(y = .data$paired, linetype = data$paired), colour = plot_muted, na.rm = TRUE
      ) +
      ggplot2::scale_linetype_manual(name = NULL, values = "longdash")
  }
  plot +
    ggplot2::geom_hline(
      yintercept = best$value, linetype = "dotted", colour = plot_best, linewidth = .4
    ) +
    (if (nrow(points) > 1L) ggplot2::geom_line(colour = plot_accent, linewidth = .6, alpha = .6)) +
    ggplot2::geom_point(
      ggplot2::aes(fill = .data$was_best),
      shape = 21, size = point_size(points), stroke = .9, colour = plot_accent
    ) +
    ring(best, plot_best) +
    ggplot2::scale_fill_manual(
      name = NULL, values = c(plot_accent, "white"), limits = c(TRUE, FALSE),
      labels = fill_labels(data)
    ) +
    ggplot2::scale_y_continuous(
      expand = ggplot2::expansion(mult = .08), sec.axis = best_axis(data, best)
    )
}

draw_runs <- function(data) {
  .data <- rlang::.data
  points <- data$points
  best <- points[points$is_best, ]
  colours <- run_colours(nlevels(points$run))
  base_plot(data) +
    ggplot2::aes(colour = .data$run) +
    ggplot2::geom_line(linewidth = .6, alpha = .7) +
    ggplot2::geom_point(size = .6 * point_size(points)) +
    ring(best, NULL) +
    ggplot2::scale_colour_manual(name = NULL, values = colours, labels = run_labels(data)) +
    ggplot2::scale_y_continuous(expand = ggplot2::expansion(mult = .08)) +
    ggplot2::guides(colour = ggplot2::guide_legend(ncol = 1L, order = 1L))
}

base_plot <- function(data) {
  .data <- rlang::.data
  ggplot2::ggplot(data$points, ggplot2::aes(.data$at, .data$value)) +
    ggplot2::scale_x_continuous(breaks = whole_breaks) +
    ggplot2::labs(
      title = wrapped(data$title, .85 * device_size()[[1L]]),
      subtitle = wrapped(data$subtitle), caption = data$caption,
      x = data$axis, y = wrapped(data$metric, device_size()[[2L]] - 2)
    ) +
    ggplot2::coord_cartesian(clip = "off") + # a ring at the border stays whole
    ggplot2::guides(
      fill = ggplot2::guide_legend(order = 1L), linetype = ggplot2::guide_legend(order = 2L)
    ) +
    plot_theme()
}

# In one colour, or in that of each run.
ring <- function(best, colour) {
  look <- list(data = best, shape = 1L, size = 5.5, stroke = 1.2, show.legend = FALSE)
  do.call(ggplot2::geom_point, c(look, colour = colour))
}

best_axis <- function(data, best) {
  if (nrow(best) == 0L) {
    return(ggplot2::waiver())
  }
  ggplot2::dup_axis(name = NULL, breaks = best$value, labels = best_label(data, best))
}
