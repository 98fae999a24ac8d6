# One look for the plots of this package.

plot_accent <- "#0F6B8F"
plot_best <- "#D1495B"
plot_muted <- "#9AA5B1"

plot_theme <- function() {
  ggplot2::theme_minimal(base_size = 12) +
    ggplot2::theme(
      plot.title = ggplot2::element_text(face = "bold"),
      plot.title.position = "plot",
      plot.subtitle = ggplot2::element_text(colour = "grey35"),
      panel.grid.minor = ggplot2::element_blank(),
      panel.grid.major.x = ggplot2::element_blank(),
      axis.title.y = ggplot2::element_text(margin = ggplot2::margin(r = 8)),
      legend.position = "bottom",
      plot.margin = ggplot2::margin(12, 16, 8, 12)
    )
}

# Epochs come in whole numbers, so their axis does too.
whole_breaks <- function(limits) {
  breaks <- pretty(limits, n = 8)
  breaks[breaks == trunc(breaks)]
}
