# The data frame must say what the files say, and NA where they say nothing.

info <- function(...) {
  fields <- list(
    path = "/run/01.keras", epoch = 1L, batch = 0L, step = 10, metrics = list(loss = .5),
    monitor = "loss", mode = "min", value = .5, best = TRUE, reason = "epoch",
    saved_at = "2026-01-31T12:30:00.250000+00:00", size = 1000, weights_only = FALSE,
    keras_version = "3.15.1", backend = "jax", schema = 1L
  )
  given <- list(...)
  fields[names(given)] <- given
  fields
}

no_metrics <- structure(list(), names = character())

as_list <- function(...) {
  checkpoint_list_from_json(
    jsonlite::toJSON(list(...), auto_unbox = TRUE, null = "null", na = "null", digits = NA)
  )
}

test_that("a foreign file's unknowns are NA, of the right types", {
  unknown <- c("epoch", "batch", "step", "monitor", "mode", "value", "best", "reason",
               "keras_version", "backend", "schema")
  fields <- info()
  fields[unknown] <- list(NULL)
  fields$metrics <- no_metrics
  files <- as_list(fields, info())
  expect_true(all(is.na(files[1L, unknown])))
  expect_identical(vapply(files[unknown], typeof, ""), vapply(as_list(info())[unknown], typeof, ""))
  expect_identical(files$loss, c(NA, .5))
})

test_that("no files are no rows with the same columns", {
  empty <- as_list()
  expect_identical(nrow(empty), 0L)
  one <- as_list(info(metrics = no_metrics))
  expect_identical(lapply(empty, class), lapply(one, class))
})

test_that("numbers beyond 32 bits arrive whole", {
  files <- as_list(info(step = 2^40 + 1, size = 2^33 + 7))
  expect_identical(files$step, 2^40 + 1)
  expect_identical(files$size, 2^33 + 7)
  expect_silent(as_list(info(epoch = 3e9)))
})

test_that("a metric whose name is taken gets a prefix", {
  files <- as_list(info(metrics = list(size = 1, value = 2, loss = 3, `top 5` = 4)))
  expect_identical(files$size, 1000)
  expect_identical(files$metric_size, 1)
  expect_identical(files$metric_value, 2)
  expect_identical(files$loss, 3)
  expect_identical(files$`top 5`, 4)
})

test_that("of a metric and one that is called as its column, each is found by its name", {
  metrics <- list(metric_size = 1, size = 2, metric_loss = 3, loss = 4, metric_metric_size = 5)
  expect_identical(as_list(info(metrics = metrics))$metric_size, 2)
  for (order in list(1:5, 5:1, 1L)) {
    files <- as_list(info(metrics = metrics[order]))
    expect_setequal(metric_names(files), names(metrics)[order])
    for (name in names(metrics)[order]) {
      expect_identical(metric_values(files, name), metrics[[name]], label = name)
    }
  }
})

test_that("the best is by the metric that was monitored, not by one that is called alike", {
  logged <- function(size, alike) {
    info(metrics = list(size = size, metric_size = alike), monitor = "metric_size", value = alike)
  }
  files <- as_list(logged(1, 9), logged(2, 8))
  expect_identical(best_of(files)$row, 2L)
  expect_identical(best_of(files)$value, 8)
})

test_that("times are UTC, to the fraction of a second", {
  saved <- as_list(info())$saved_at
  expect_equal(as.numeric(saved), as.numeric(as.POSIXct("2026-01-31 12:30:00", tz = "UTC")) + .25)
})

test_that("the best is by the newest file's monitor; of equals the first", {
  logged <- function(loss, ...) info(metrics = list(loss = loss), value = loss, ...)
  row <- function(...) best_of(as_list(...))$row
  expect_identical(row(logged(3), logged(1), logged(1)), 2L)
  expect_identical(row(logged(3, mode = "max"), logged(1, mode = "max")), 1L)
  other <- info(value = 0, monitor = "other", metrics = list(other = 0))
  expect_identical(row(other, logged(1)), 2L)
  expect_identical(row(info(value = NULL, metrics = no_metrics)), NA_integer_)
  # Metrics of an epoch that a signal cut short, and files of others, have no rank.
  expect_identical(row(logged(3), logged(1, reason = "interrupt", batch = 2L)), 1L)
  expect_identical(row(logged(3), info(metrics = no_metrics, monitor = NULL, schema = NULL)), 1L)
})
