# Scripts tell failures apart by class; people act on the text.

test_that("Python's error names become condition classes", {
  expect_identical(python_condition_class("CheckpointNotFoundError"),
                   "kerascheckpoint_not_found_error")
  expect_identical(python_condition_class("CheckpointCorruptError"),
                   "kerascheckpoint_corrupt_error")
  expect_identical(python_condition_class("CheckpointError"), "kerascheckpoint_checkpoint_error")
  expect_identical(python_condition_class("ValueError"), "kerascheckpoint_value_error")
  expect_identical(python_condition_class("IsADirectoryError"),
                   "kerascheckpoint_is_a_directory_error")
})

test_that("a Python error arrives with its class, its text and itself as parent", {
  skip_without_keras()
  missing <- file.path(local_directory(), "none {x} \u00e9.keras")
  error <- expect_error(verify_checkpoint(missing), class = "kerascheckpoint_not_found_error")
  expect_s3_class(error, "kerascheckpoint_error")
  expect_match(error$message, "none {x} \u00e9.keras", fixed = TRUE)
  expect_s3_class(error$parent, "error")
  expect_match(conditionMessage(error$parent), "CheckpointNotFoundError")
})

test_that("an error of R's own is passed on as it is", {
  expect_error(with_python_conditions(stop("mine")), "^mine$", class = "simpleError")
})

test_that("values are described in few words", {
  expect_identical(describe_value(NULL), "NULL")
  expect_identical(describe_value(2.7), "2.7")
  expect_identical(describe_value("a\"b"), "\"a\\\"b\"")
  expect_identical(describe_value(1:3), "integer of length 3")
  expect_identical(describe_value(NA), "NA")
  expect_match(describe_value(as.difftime(-2, units = "mins")), "difftime.*-2 mins")
})
