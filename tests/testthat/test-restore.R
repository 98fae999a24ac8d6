# What was saved is what comes back, or nothing is changed.

test_that("a restored model is the saved one", {
  skip_without_keras()
  path <- file.path(local_directory(), "a.weights.h5")
  trained <- new_model()
  train(trained, callback_model_checkpoint(path, save_weights_only = TRUE))
  model <- new_model()
  visible <- withVisible(restore_checkpoint(model, path))
  expect_false(visible$visible)
  expect_identical(visible$value$epoch, 2L)
  x <- matrix(cos(1:30), 3)
  expect_equal(predict(model, x, verbose = 0), predict(trained, x, verbose = 0))
  expect_identical(model$optimizer$iterations$numpy(), trained$optimizer$iterations$numpy())
})

test_that("another model is told apart and left alone", {
  skip_without_keras()
  path <- file.path(local_directory(), "a.keras")
  train(new_model(), callback_model_checkpoint(path))
  other <- keras_model_sequential(input_shape = 10) |>
    layer_dense(3) |>
    compile(loss = "mse")
  before <- other$get_weights()
  expect_error(restore_checkpoint(other, path), class = "kerascheckpoint_mismatch_error")
  expect_identical(other$get_weights(), before)
})

test_that("what is no model is refused", {
  expect_error(restore_checkpoint("model", "a.keras"), class = "kerascheckpoint_argument_error")
})
