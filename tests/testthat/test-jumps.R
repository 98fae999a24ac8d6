# R code that Python calls must never tear Python's stack down.

call_from_python <- function(fun) {
  through <- reticulate::py_run_string("def through(function): return function()")$through
  with_python_conditions(through(function() run_below_python(fun())))
}

test_that("a value passes", {
  skip_without_keras()
  expect_identical(call_from_python(function() 42L), 42L)
})

test_that("every way to leave arrives where it was meant to, and Python stays usable", {
  skip_without_keras()
  for (i in 1:20) {
    error <- tryCatch(call_from_python(function() rlang::abort("mine", class = "my_error")),
                      my_error = function(error) error)
    expect_identical(conditionMessage(error), "mine")
    warned <- tryCatch(call_from_python(function() warning("careful")), warning = identity)
    expect_identical(conditionMessage(warned), "careful")
    told <- tryCatch(call_from_python(function() message("by the way")), message = identity)
    expect_identical(conditionMessage(told), "by the way\n")
    left <- callCC(function(leave) {
      tryCatch(call_from_python(function() leave("left")), error = function(error) "stopped")
    })
    expect_identical(left, "stopped")
  }
  expect_identical(reticulate::py_eval("1 + 1"), 2L)
})

test_that("what Python has dealt with is not signalled again", {
  skip_without_keras()
  swallowing <- reticulate::py_run_string(paste(
    "def swallowing(function):",
    "    try: function()",
    "    except Exception: pass",
    "    raise ValueError('another')",
    sep = "\n"
  ))$swallowing
  expect_error(
    with_python_conditions(swallowing(function() run_below_python(stop("mine")))),
    "another", class = "kerascheckpoint_value_error"
  )
})
