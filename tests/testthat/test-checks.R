# A wrong argument that slips through fails an epoch later, or saves to nowhere.

# One wrong value per line, by the argument that is to be named.
wrong_arguments <- function() {
  good <- "model.keras"
  list(
    filepath = list(
      list(), list(NULL), list(1), list(NA_character_), list(""), list(c(good, good)),
      list("model"), list("model.tf"), list("model.weights.h5"), list("model.h5", resume = TRUE),
      list(good, save_weights_only = TRUE), list("model.h5", save_weights_only = TRUE),
      list("{epoch.keras"), list("epoch}.keras"), list("{{epoch}.keras"),
      list("s3://bucket/{epoch}"), list("s3://bucket/{epoch.keras"),
      list("{}.keras"), list("{0}.keras"), list("{{{:02d}}}.keras"), list("{!r}.keras")
    ),
    monitor = list(list(NULL), list(""), list(NA), list(1), list(c("a", "b"))),
    verbose = list(list(-1), list(2.7), list(NA), list(NULL), list("1"), list(3e9), list(0:1)),
    save_best_only = list(list(NULL), list(NA), list(1), list("TRUE"), list(c(TRUE, TRUE))),
    save_weights_only = list(list(NULL), list(NA), list(1), list("yes")),
    mode = list(list("best"), list(NA), list(NULL), list(1), list(c("min", "max")), list("")),
    save_freq = list(
      list(0), list(-1), list(2.7), list(NA), list(NA_integer_), list(Inf), list(NaN), list(3e9),
      list(TRUE), list(NULL), list("Epoch"), list("5"), list(1:2), list(list(1)), list(factor(1)),
      list(as.difftime(0, units = "secs")), list(as.difftime(-1, units = "mins")),
      list(as.difftime(NA_real_, units = "mins")), list(as.difftime(c(1, 2), units = "mins")),
      list(as.difftime(Inf, units = "mins")), list(as.difftime(1e12, units = "weeks")),
      list("0%"), list("101%"), list("%"), list("-2%"), list("2 percent"), list(c("1%", "2%")),
      list(function() TRUE), list(function(epoch, batch) TRUE)
    ),
    initial_value_threshold = list(
      list(NA), list(NaN), list("0"), list(c(1, 2)), list(TRUE), list(factor(1)),
      list(as.Date("2026-01-31")), list(as.difftime(1, units = "secs"))
    ),
    keep_best = list(list(0), list(1.5), list(NA), list("2"), list(Inf), list(3e9), list(1:2)),
    keep_last = list(list(0), list(1.5), list(NA), list("2"), list(Inf), list(3e9), list(TRUE)),
    min_delta = list(list(-.1), list(NA), list(NaN), list(Inf), list(NULL), list("0"), list(1:2),
                     list(as.difftime(1, units = "secs"))),
    save_on_background = list(list(NULL), list(NA), list(1), list("no")),
    resume = list(list(NULL), list(NA), list(1), list("auto")),
    save_on_interrupt = list(list(NULL), list(NA), list(1), list("term"), list(character()),
                             list(c("SIGTERM", NA)), list("SIGKILL"), list(c(TRUE, FALSE))),
    storage_options = list(list("key"), list(c(key = "x")), list(list("x")), list(list(a = 1, 2)),
                           list(list(a = 1, a = 2)), list(data.frame(a = 1)), list(list(a = 1))),
    after_save = list(list("print"), list(TRUE), list(function() NULL)),
    on_save_error = list(list("stop"), list(NULL), list(NA), list(1), list(c("warn", "raise"))),
    `...` = list(list(good, "val_loss", 0, FALSE, FALSE, "auto", "epoch", NULL, 3),
                 list(good, keep_bests = 2))
  )
}

test_that("every wrong argument is refused by name before Python starts", {
  seen <- in_new_session(function(wrong) {
    refused <- list()
    for (argument in names(wrong)) {
      for (values in wrong[[argument]]) {
        if (!argument %in% c("filepath", "...")) {
          values <- c(list("model.keras"), stats::setNames(values, argument))
        }
        error <- tryCatch(
          {
            do.call(kerascheckpoint::callback_model_checkpoint, values)
            NULL
          },
          error = function(error) error
        )
        refused[[length(refused) + 1L]] <- list(
          argument = argument, values = values, class = class(error),
          named = error$argument, text = if (!is.null(error)) conditionMessage(error) else ""
        )
      }
    }
    list(refused = refused, python = reticulate::py_available(initialize = FALSE))
  }, wrong_arguments())$value

  expect_false(seen$python)
  expect_length(seen$refused, sum(lengths(wrong_arguments())))
  for (one in seen$refused) {
    label <- paste(deparse(one$values), collapse = "")
    expect_true("kerascheckpoint_argument_error" %in% one$class, label = label)
    expect_true("kerascheckpoint_error" %in% one$class, label = label)
    expect_identical(one$named, one$argument, label = label)
    expect_match(one$text, one$argument, fixed = TRUE, label = label)
  }
})

test_that("the text says what was given and what is accepted", {
  refusal <- function(...) {
    error <- expect_error(callback_model_checkpoint(...), class = "kerascheckpoint_argument_error")
    conditionMessage(error)
  }
  expect_match(refusal("a.keras", save_freq = 2.7), "^Unrecognized save_freq: 2.7")
  expect_match(refusal("a.keras", save_freq = 2.7), "epoch.*whole number.*difftime")
  expect_match(refusal("a.weights.h5"), "set `save_weights_only = TRUE`")
  expect_match(refusal("a.keras", mode = "best"), "given \"best\".*\"auto\", \"min\", \"max\"")
  expect_match(refusal("a.keras", keep_last = 3e9), "given 3e\\+09")
  expect_match(refusal("a.keras", keep_bests = 1), "There is no argument `keep_bests`")
  expect_match(refusal("a.keras", verbose = c(1, 0)), "numeric of length 2")
})

test_that("an existing directory is no place for a file", {
  skip_without_keras()
  directory <- local_directory("run.keras")
  caught <- expect_error(callback_model_checkpoint(directory), "existing directory",
                         class = "kerascheckpoint_argument_error")
  expect_identical(caught$argument, "filepath")
})

test_that("a file is no place for a directory", {
  skip_without_keras()
  file <- withr::local_tempfile(lines = "")
  caught <- expect_error(callback_model_checkpoint(file.path(file, "run", "{epoch}.keras")),
                         basename(file), class = "kerascheckpoint_argument_error")
  expect_identical(caught$argument, "filepath")
})

test_that("whole numbers of either type are integers", {
  expect_identical(check_whole(5, "keep_best", 1L), 5L)
  expect_identical(check_whole(5L, "keep_best", 1L), 5L)
  expect_identical(check_save_freq(5), 5L)
  expect_identical(check_whole(.Machine$integer.max, "keep_best", 1L), .Machine$integer.max)
})

test_that("a missing argument is refused by name, too", {
  expect_refused <- function(code, argument) {
    error <- expect_error(code, "missing", class = "kerascheckpoint_argument_error")
    expect_identical(error$argument, argument)
  }
  expect_refused(callback_model_checkpoint(), "filepath")
  expect_refused(list_checkpoints(), "filepath")
  expect_refused(latest_checkpoint(), "filepath")
  expect_refused(best_checkpoint(), "filepath")
  expect_refused(verify_checkpoint(), "path")
  expect_refused(restore_checkpoint(), "model")
})

test_that("what R users are used to is accepted", {
  expect_identical(check_verbose(TRUE), 1L)
  expect_identical(check_verbose(0), 0L)
  expect_identical(check_on_save_error(c("raise", "warn")), "raise")
  expect_identical(check_save_freq(c(a = "epoch")), "epoch")
})

test_that("shares, functions and signals are accepted as they are written", {
  expect_identical(check_save_freq("2%"), "2%")
  expect_identical(check_save_freq("0.5 %"), "0.5 %")
  asked <- function(...) TRUE
  expect_identical(check_save_freq(asked), asked)
  expect_identical(check_after_save(print), print)
  expect_identical(check_save_on_interrupt(c("SIGTERM", "SIGUSR1")), c("SIGTERM", "SIGUSR1"))
  expect_identical(check_storage_options(list()), list())
  expect_identical(check_storage_options(list(), "run"), list())
  expect_identical(check_storage_options(list(key = "x"), "s3://run/m.keras"), list(key = "x"))
  expect_error(check_storage_options(list(key = "x"), "file:///m.keras"), "local path",
               class = "kerascheckpoint_argument_error")
})

test_that("a difftime of any unit is an interval in seconds", {
  expect_equal(unclass(check_save_freq(as.difftime(2, units = "mins"))), 120)
  expect_equal(unclass(check_save_freq(as.difftime(1.5, units = "hours"))), 5400)
})
