# The picture of a `checkpoint_list` by base graphics, where ggplot2 is missing.

draw_with_base_graphics <- function(data) {
  points <- data$points
  best <- points[points$is_best, ]
  inches <- device_size()
  title <- wrapped(data$title, .8 * (inches[[1L]] - 1))
  subtitle <- wrapped(paste(c(data$subtitle, data$caption), collapse = "\n"), inches[[1L]] - 1)
  lines <- count_lines(subtitle)
  several <- nlevels(points$run) > 1L
  entries <- if (several) nlevels(points$run) else 2L + !is.null(data$paired)
  margins <- c(4 + entries, 5, lines + count_lines(title) + 1.5, 5.5)
  kept <- graphics::par(las = 1L, bty = "l", mar = margins)
  on.exit(graphics::par(kept))
  limits <- range(points$value, if (!is.null(data$paired)) points$paired, finite = TRUE)
  margin <- .08 * max(diff(limits), 1e-9)
  plot(points$at, points$value, type = "n", ylim = limits + c(-margin, margin),
       xlab = "", ylab = "", xaxt = "n")
  graphics::axis(1L, at = whole_breaks(range(points$at)))
  graphics::title(xlab = data$axis, line = 2.5)
  if (count_lines(wrapped(data$metric, inches[[2L]] - 2)) == 1L) { # the title has it as well
    graphics::title(ylab = data$metric, line = 3)
  }
  size <- if (inches[[1L]] < 4.5) .9 else 1.2
  graphics::title(title, line = lines + .8, adj = 0, cex.main = size)
  graphics::mtext(subtitle, line = .4, adj = 0, col = "grey35", cex = .9)
  if (several) draw_base_runs(data, best) else draw_base_run(data, best)
}

count_lines <- function(text) length(strsplit(text, "\n", fixed = TRUE)[[1L]])

draw_base_run <- function(data, best) {
  points <- data$points
  if (!is.null(data$paired)) {
    graphics::lines(points$at, points$paired, lty = 5L, col = plot_muted)
  }
  graphics::abline(h = best$value, lty = 3L, col = plot_best)
  graphics::lines(points$at, points$value, col = plot_accent)
  graphics::points(points$at, points$value, pch = 21L, cex = point_size(points) / 2.2,
                   col = plot_accent, bg = ifelse(points$was_best, plot_accent, "white"))
  if (nrow(best)) {
    graphics::points(best$at, best$value, cex = 2.4, lwd = 2, col = plot_best, xpd = NA)
    graphics::mtext(best_label(data, best), side = 4L, at = best$value, line = .5, col = plot_best,
                    font = 2L, cex = .85)
  }
  entries <- c(fill_labels(data), data$paired)
  shown <- seq_along(entries)
  base_legend(
    entries, pch = c(21L, 21L, NA)[shown], lty = c(0L, 0L, 5L)[shown],
    pt.bg = c(plot_accent, "white", NA)[shown], col = c(plot_accent, plot_accent, plot_muted)[shown]
  )
}

draw_base_runs <- function(data, best) {
  points <- data$points
  colours <- run_colours(nlevels(points$run))
  for (run in seq_len(nlevels(points$run))) {
    one <- points[as.integer(points$run) == run, ]
    graphics::lines(one$at, one$value, type = "o", pch = 16L, cex = point_size(points) / 3,
                    col = colours[[run]])
  }
  graphics::points(best$at, best$value, cex = 2.4, lwd = 2, col = colours[as.integer(best$run)])
  base_legend(run_labels(data), col = colours, pch = 16L, lty = 1L)
}

# Below the axis, where no point lies.
base_legend <- function(entries, ...) {
  graphics::legend(
    x = graphics::par("usr")[[1L]], y = graphics::grconvertY(.01, "nfc", "user"), yjust = 0,
    xpd = NA, bty = "n", cex = .9, legend = entries, ...
  )
}
