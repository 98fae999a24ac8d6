# One look for the plots of this package.

plot_accent <- "#0F6B8F"
plot_best <- "#D1495B"
plot_muted <- "#9AA5B1"

# Okabe and Ito's colours, which people with colour blindness can tell apart.
run_colours <- function(n) {
  colours <- grDevices::palette.colors(9L, "Okabe-Ito")[c(6, 7, 4, 8, 2, 3, 9)]
  if (n <= length(colours)) unname(colours[seq_len(n)]) else grDevices::hcl.colors(n, "Dark 3")
}

# Inches of the device that is open; ggplot2's own default where none is yet.
device_size <- function() {
  if (grDevices::dev.cur() > 1L) grDevices::dev.size() else c(7, 7)
}

# A narrow picture gets smaller letters, so that no text is cut; a low one has its
# legend beside the panel, which keeps its height.
plot_theme <- function(size = device_size()) {
  narrow <- size[[1L]] < 4.5
  low <- size[[2L]] < 3.4 && !narrow
  ggplot2::theme_minimal(base_size = if (narrow) 8 else if (low) 10 else 12) +
    ggplot2::theme(
      plot.title = ggplot2::element_text(face = "bold"),
      plot.title.position = "plot",
      plot.subtitle = ggplot2::element_text(colour = "grey35"),
      plot.caption = ggplot2::element_text(colour = "grey35"),
      panel.grid.minor = ggplot2::element_blank(),
      panel.grid.major.x = ggplot2::element_blank(),
      axis.title.y = ggplot2::element_text(margin = ggplot2::margin(r = 8)),
      axis.text.y.right = ggplot2::element_text(
        colour = plot_best, face = "bold", hjust = 0, margin = ggplot2::margin(l = 8)
      ),
      legend.position = if (low) "right" else "bottom",
      legend.direction = if (low || narrow) "vertical" else "horizontal",
      legend.box = if (low || size[[1L]] < 5.5) "vertical" else "horizontal",
      legend.box.just = "left",
      legend.justification = "left",
      legend.spacing.y = ggplot2::unit(0, "pt"),
      legend.margin = ggplot2::margin(2, 0, 0, 0),
      plot.margin = ggplot2::margin(12, 16, 8, 12)
    )
}

# A long text in lines that fit so many inches; names have no blanks to break at.
wrapped <- function(text, inches = device_size()[[1L]]) {
  letters <- max(12, round(inches * (if (device_size()[[1L]] < 4.5) 14 else 9)))
  lines <- strsplit(text, "\n", fixed = TRUE)[[1L]]
  paste(gsub(sprintf("(.{%d})(?=.)", letters), "\\1\n", lines, perl = TRUE), collapse = "\n")
}

# Epochs come in whole numbers, so their axis does too.
whole_breaks <- function(limits) {
  breaks <- pretty(limits, n = 8)
  unique(round(breaks[abs(breaks - round(breaks)) < 1e-6]))
}
