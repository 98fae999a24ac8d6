# A warning nobody sees is a checkpoint nobody has; one that tears Python's stack
# down takes the session with it.

warn_from_python <- function(text = "careful") {
  with_python_conditions(core("notify")$warn(text))
  "went on"
}

test_that("a warning of Python is a classed R warning and Python goes on", {
  skip_without_keras()
  expect_warning(result <- warn_from_python("careful {x} \u00e9"), "careful {x} \u00e9",
                 fixed = TRUE, class = "kerascheckpoint_warning")
  expect_identical(result, "went on")
  expect_identical(suppressWarnings(warn_from_python()), "went on")
})

test_that("a handler that leaves gets the warning, and Python stays usable", {
  skip_without_keras()
  for (i in 1:50) {
    caught <- tryCatch(warn_from_python(), warning = function(warning) warning)
  }
  expect_s3_class(caught, "kerascheckpoint_warning")
  expect_identical(conditionMessage(caught), "careful")
  expect_identical(reticulate::py_eval("1 + 1"), 2L)
})

test_that("options(warn = 2) makes it an error", {
  skip_without_keras()
  withr::local_options(warn = 2)
  expect_error(warn_from_python(), "careful")
})

test_that("fit() shows the warning, and can be ended by a handler of it", {
  skip_without_keras()
  directory <- local_directory()
  saving <- function() {
    callback_model_checkpoint(file.path(directory, "a.keras"), monitor = "no_such_metric",
                              mode = "min", save_best_only = TRUE)
  }
  expect_warning(train(new_model(), saving()), "no_such_metric",
                 class = "kerascheckpoint_warning")
  skip_with_keras3()
  caught <- tryCatch(train(new_model(), saving()), warning = function(warning) warning)
  expect_s3_class(caught, "kerascheckpoint_warning")
})
