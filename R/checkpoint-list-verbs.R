# What keeps a `checkpoint_list` one: taking rows, binding, and dplyr's verbs.

#' @export
`[.checkpoint_list` <- function(x, i, j, ...) {
  part <- NextMethod()
  if (is.data.frame(part)) keep_best_paths(part, x) else part
}

# A part of a list still knows the best file of its run. Rows from elsewhere make
# it a new list.
keep_best_paths <- function(part, whole) {
  if (!"path" %in% names(part) || all(part$path %in% whole$path)) {
    attr(part, "best_paths") <- attr(whole, "best_paths")
  } else {
    attr(part, "best_paths") <- NULL
  }
  part
}

#' @export
rbind.checkpoint_list <- function(..., deparse.level = 1) { # nolint: object_name_linter.
  lists <- Filter(Negate(is.null), list(...))
  columns <- unique(unlist(lapply(lists, names)))
  filled <- lapply(lists, function(list) {
    frame <- as.data.frame(list)
    frame[setdiff(columns, names(frame))] <- NA
    frame[columns]
  })
  bound <- do.call(rbind, filled)
  best <- lapply(lists, function(list) list$path[is_best_of_run(list)])
  structure(bound, class = class(lists[[1L]]), best_paths = unique(unlist(best)))
}

#' @export
as.data.frame.checkpoint_list <- function(x, ...) {
  attr(x, "best_paths") <- NULL
  class(x) <- "data.frame"
  x
}

# nolint start: object_name_linter, object_length_linter.
#' @exportS3Method dplyr::dplyr_reconstruct
dplyr_reconstruct.checkpoint_list <- function(data, template) {
  # nolint end
  frame <- as.data.frame(data)
  class(frame) <- class(template)
  keep_best_paths(frame, template)
}
