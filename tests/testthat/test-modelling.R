# The documented examples must run as printed, with keras3 and without.

test_that("with keras3 the verbs are keras3's own objects", {
  skip_if_not_installed("keras3")
  for (verb in c(modelling_verbs, "fit", "compile")) {
    expect_identical(getExportedValue("kerascheckpoint", verb), getExportedValue("keras3", verb),
                     label = verb)
  }
})

test_that("fit and compile are the generics of the package generics", {
  expect_identical(kerascheckpoint::fit, generics::fit)
  expect_identical(kerascheckpoint::compile, generics::compile)
})

test_that("two sizes in a row are a shape", {
  skip_without_keras()
  skip_with_keras3()
  shape <- function(tensor) dim(reticulate::import("keras")$ops$convert_to_numpy(tensor))
  expect_identical(shape(op_ones(2, 1)), c(2L, 1L))
  expect_identical(shape(op_ones(c(2, 1))), c(2L, 1L))
  expect_identical(shape(random_uniform(c(2, 10))), c(2L, 10L))
})

test_that("a model trains, is evaluated, predicts, is saved and loaded", {
  skip_without_keras()
  model <- new_model()
  built <- withVisible(train(model))
  expect_false(built$visible)
  expect_named(built$value$metrics, c("accuracy", "loss", "val_accuracy", "val_loss"))
  x <- matrix(cos(1:30), 3)
  expect_identical(dim(predict(model, x, verbose = 0)), c(3L, 1L))
  expect_named(evaluate(model, x, matrix(1, 3), verbose = 0), c("accuracy", "loss"))
  expect_output(summary(model), "Total params")
  path <- file.path(local_directory(), "model.keras")
  expect_identical(save_model(model, path), model)
  expect_error(save_model(model, path))
  expect_equal(predict(load_model(path), x, verbose = 0), predict(model, x, verbose = 0))
})

test_that("a model is loaded by its URL, and what is no path is refused in words", {
  skip_without_keras()
  skip_with_keras3()
  path <- file.path(local_directory(), "model.keras")
  model <- save_model(new_model(), path)
  x <- matrix(cos(1:30), 3)
  loaded <- load_model(paste0("file://", path))
  expect_equal(predict(loaded, x, verbose = 0), predict(model, x, verbose = 0))
  expect_error(load_model(NULL), "`model` was given NULL", class = "kerascheckpoint_argument_error")
  expect_error(load_model("no.keras"), "no[.]keras", class = "kerascheckpoint_error")
  expect_error(
    load_model_weights(model, "no.weights.h5"), "no[.]weights[.]h5", class = "kerascheckpoint_error"
  )
})

test_that("an existing file is not replaced by accident", {
  skip_without_keras()
  skip_with_keras3()
  path <- file.path(local_directory(), "model.keras")
  writeLines("precious", path)
  expect_error(save_model(new_model(), path), class = "kerascheckpoint_argument_error")
  expect_identical(readLines(path), "precious")
})

test_that("initial_epoch counts from 1", {
  skip_without_keras()
  history <- new_model() |> fit(matrix(1, 4, 10), matrix(1, 4), initial_epoch = 2, epochs = 3,
                                verbose = 0)
  expect_length(history$metrics$loss, 2L)
})

test_that("R's habits reach Keras: factors, data frames, class weights", {
  skip_without_keras()
  skip_with_keras3()
  model <- keras_model_sequential(input_shape = 4) |>
    layer_dense(3, activation = "softmax") |>
    compile(loss = "sparse_categorical_crossentropy", metrics = "accuracy")
  history <- model |> fit(iris[1:4], iris$Species, epochs = 1, verbose = 0,
                          class_weight = list(`0` = 1, `1` = 2, `2` = 1))
  expect_length(history$metrics$accuracy, 1L)
})

for (backend in c("jax", "torch")) {
  test_that(paste("the help page's example runs on", backend), {
    skip_without_keras()
    skip_if_not(!is.null(reticulate::import("importlib.util")$find_spec(backend)), backend)
    seen <- in_new_session(function(directory) {
      library(kerascheckpoint)
      model <- keras_model_sequential(input_shape = c(10)) |>
        layer_dense(1, activation = "sigmoid") |>
        compile(loss = "binary_crossentropy", optimizer = "adam", metrics = c("accuracy"))
      path <- file.path(directory, "best.keras")
      saving <- callback_model_checkpoint(filepath = path, monitor = "val_accuracy", mode = "max",
                                          save_best_only = TRUE)
      model |> fit(x = random_uniform(c(2, 10)), y = op_ones(c(2, 1)), epochs = 10,
                   validation_split = .5, verbose = 0, callbacks = list(saving))
      print(load_model(path))
      list_checkpoints(directory)
    }, local_directory(), env = c(
      KERAS_BACKEND = backend,
      TORCHINDUCTOR_CACHE_DIR = local_directory("torch") # else left behind in /tmp
    ))
    expect_match(seen$output, "Total params: 35", fixed = TRUE, all = FALSE)
    expect_identical(seen$value$backend, backend)
  })
}
