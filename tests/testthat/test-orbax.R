# Directories that Orbax writes, by the same functions as files.

skip_without_orbax <- function() {
  skip_without_keras()
  skip_if_not(reticulate::py_module_available("orbax.checkpoint"), "Orbax")
}

test_that("a run in .orbax directories is written, listed, averaged, restored and resumed", {
  skip_without_orbax()
  directory <- local_directory()
  path <- file.path(directory, "{epoch}.orbax")
  model <- new_model()
  train(model, callback_model_checkpoint(path, save_on_background = TRUE))
  found <- list_checkpoints(directory)
  expect_identical(basename(found$path), c("1.orbax", "2.orbax"))
  expect_identical(latest_checkpoint(directory), found$path[[2]])
  expect_true(best_checkpoint(directory) %in% found$path)
  expect_identical(verify_checkpoint(found$path[[2]])$epoch, 2L)
  expect_false(all(compare_checkpoints(found$path[[1]], found$path[[2]])$equal))

  again <- new_model()
  restore_checkpoint(again, found$path[[2]])
  expect_identical(again$get_weights(), model$get_weights())

  one_file <- file.path(directory, "one.keras")
  average_checkpoints(found$path[[2]], one_file)
  expect_identical(load_model(one_file)$get_weights(), model$get_weights())
  unlink(one_file)

  train(new_model(), callback_model_checkpoint(path, resume = TRUE), epochs = 3)
  expect_identical(list_checkpoints(directory)$epoch, 1:3)
})
