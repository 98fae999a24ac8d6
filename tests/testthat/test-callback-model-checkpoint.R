# The callback that Python gets must be the one the R user described.

test_that("R and Python have the same arguments, order and defaults", {
  skip_without_keras()
  inspect <- reticulate::import("inspect")
  parameters <- inspect$signature(core()$ModelCheckpoint)$parameters
  names <- reticulate::iterate(parameters$keys())
  is_keyword_only <- reticulate::py_eval("lambda parameter: parameter.kind.name == 'KEYWORD_ONLY'")
  arguments <- formals(callback_model_checkpoint)

  expect_identical(setdiff(names(arguments), "..."), unlist(names))
  for (name in unlist(names)) {
    parameter <- parameters[[name]]
    keyword_only <- match(name, names(arguments)) > match("...", names(arguments))
    expect_identical(is_keyword_only(parameter), keyword_only, label = name)
    if (name == "filepath") next
    default <- eval(arguments[[name]])
    if (name == "on_save_error") default <- default[[1L]]
    expect_equal(parameter$default, default, label = name)
  }
})

test_that("arguments arrive in the types that Python expects", {
  skip_without_keras()
  path <- file.path(local_directory(), "{epoch}.weights.h5")
  saving <- callback_model_checkpoint(
    path, "accuracy", 1, TRUE, TRUE, "MAX", 5, 0,
    keep_best = 2, keep_last = 3, min_delta = 1L, save_on_background = TRUE,
    save_on_interrupt = TRUE, on_save_error = "warn"
  )
  expect_identical(saving$monitor, "accuracy")
  expect_identical(saving$mode, "max")
  expect_identical(saving$save_freq, 5L)
  expect_identical(saving$keep_best, 2L)
  expect_identical(saving$on_save_error, "warn")
  expect_identical(saving$min_delta, 1)
  expect_true(saving$save_on_background)
})

test_that("signals and storage options arrive as Python has them", {
  skip_without_keras()
  path <- file.path(local_directory(), "a.keras")
  saving <- callback_model_checkpoint(path, save_on_interrupt = c("SIGTERM", "SIGUSR1"))
  expect_identical(saving$save_on_interrupt, list("SIGTERM", "SIGUSR1"))
  expect_error(callback_model_checkpoint(path, save_on_interrupt = "SIGNOSUCH"), "SIGNOSUCH",
               class = "kerascheckpoint_argument_error")
  options <- as_dict(list(port = 9000, nested = list(a = TRUE), key = "x", share = .5))
  expect_match(as.character(reticulate::py_str(options)),
               "{'port': 9000, 'nested': {'a': True}, 'key': 'x', 'share': 0.5}", fixed = TRUE)
})

test_that("an R function decides when to save", {
  skip_without_keras()
  directory <- local_directory()
  seen <- list()
  saving <- callback_model_checkpoint(
    file.path(directory, "{epoch}.keras"), monitor = "loss",
    save_freq = function(epoch, batch, logs) {
      seen[[length(seen) + 1L]] <<- list(epoch = epoch, batch = batch, loss = logs$loss)
      is.null(batch) && epoch == 2L
    }
  )
  train(new_model(), saving, epochs = 3)
  expect_identical(vapply(seen, `[[`, 1L, "epoch"), rep(1:3, each = 3))
  expect_identical(lapply(seen, `[[`, "batch"), rep(list(1L, 2L, NULL), 3))
  expect_true(all(vapply(seen, function(call) is.double(call$loss), NA)))
  expect_identical(list_checkpoints(directory)$epoch[1], 2L)
  saving <- callback_model_checkpoint(
    file.path(directory, "{epoch}.keras"), save_freq = function(epoch, batch, logs) NA
  )
  skip_with_keras3()
  expect_error(train(new_model(), saving), "not NA", class = "kerascheckpoint_argument_error")
})

test_that("after_save hears of each file, as a row, when the file is there", {
  skip_without_keras()
  heard <- list()
  saving <- callback_model_checkpoint(
    file.path(local_directory(), "{epoch}.keras"), save_on_background = TRUE,
    after_save = function(checkpoint) {
      expect_true(file.exists(checkpoint$path))
      heard[[length(heard) + 1L]] <<- checkpoint
    }
  )
  train(new_model(), saving, epochs = 2)
  expect_length(heard, 2L)
  expect_s3_class(heard[[1]], "checkpoint_list")
  expect_identical(do.call(rbind, heard)$epoch, 1:2)
})

test_that("an error in after_save ends fit() with that error in sight", {
  skip_without_keras()
  skip_with_keras3()
  saving <- function(...) {
    callback_model_checkpoint(
      file.path(local_directory(), "{epoch}.keras"),
      after_save = function(checkpoint) rlang::abort("no upload", class = "upload_error"), ...
    )
  }
  error <- expect_error(train(new_model(), saving()), "no upload")
  expect_true(inherits(error, "upload_error") || inherits(error$parent, "upload_error"))
  expect_warning(train(new_model(), saving(on_save_error = "warn"), epochs = 1), "no upload",
                 class = "kerascheckpoint_warning")
})

test_that("a share of the training time is a frequency", {
  skip_without_keras()
  directory <- local_directory()
  saving <- callback_model_checkpoint(file.path(directory, "{step}.keras"), monitor = "loss",
                                      save_freq = "50%")
  train(new_model(), saving, epochs = 2)
  expect_gte(nrow(list_checkpoints(directory)), 1L)
})

test_that("a difftime is a timedelta", {
  skip_without_keras()
  saving <- callback_model_checkpoint(file.path(local_directory(), "a.keras"),
                                      save_freq = as.difftime(90, units = "mins"))
  expect_match(as.character(reticulate::py_str(reticulate::py_get_attr(saving, "save_freq"))),
               "1:30:00")
})

test_that("a refusal of Python's is a refused argument, too", {
  skip_without_keras()
  path <- file.path(local_directory(), "{epoch:z}.keras")
  expect_error(callback_model_checkpoint(path), class = "kerascheckpoint_argument_error")
})

test_that("the best model of the help page is saved and loads", {
  skip_without_keras()
  path <- file.path(local_directory("a b \u00e9"), "best.keras")
  saving <- callback_model_checkpoint(filepath = path, monitor = "val_accuracy", mode = "max",
                                      save_best_only = TRUE)
  model <- new_model()
  history <- model |> fit(
    x = random_uniform(c(2, 10)), y = op_ones(c(2, 1)), epochs = 10, validation_split = .5,
    verbose = 0, callbacks = list(saving)
  )
  expect_length(history$metrics$val_accuracy, 10L)
  expect_identical(saving$best, max(history$metrics$val_accuracy))
  expect_identical(saving$best_filepath, path)
  text <- capture.output(print(load_model(path)))
  expect_match(text, "Total params: 35", fixed = TRUE, all = FALSE)
  expect_match(text, "Trainable params: 11", fixed = TRUE, all = FALSE)
  expect_match(text, "Optimizer params: 24", fixed = TRUE, all = FALSE)
})

test_that("the best weights of the help page are saved and load", {
  skip_without_keras()
  path <- file.path(local_directory(), "best.weights.h5")
  saving <- callback_model_checkpoint(filepath = path, save_weights_only = TRUE,
                                      monitor = "loss", mode = "min", save_best_only = TRUE)
  trained <- new_model()
  train(trained, saving)
  model <- new_model()
  model |> load_model_weights(path)
  x <- matrix(cos(1:30), 3)
  expect_equal(predict(model, x, verbose = 0), predict(trained, x, verbose = 0))
})

test_that("a relative path is where the callback was made", {
  skip_without_keras()
  here <- local_directory()
  withr::with_dir(here, saving <- callback_model_checkpoint("sub/{epoch}.keras"))
  train(new_model(), saving, epochs = 1)
  expect_true(file.exists(file.path(here, "sub", "1.keras")))
})

test_that("messages reach the console of Rscript", {
  skip_without_keras()
  seen <- in_new_session(function(path) {
    library(kerascheckpoint)
    model <- keras_model_sequential(input_shape = 2) |>
      layer_dense(1) |>
      compile(loss = "mse", optimizer = "sgd")
    saving <- callback_model_checkpoint(path, monitor = "loss", verbose = 1)
    model |> fit(matrix(1, 4, 2), matrix(1, 4, 1), epochs = 1, verbose = 0,
                 callbacks = list(saving))
    NULL
  }, file.path(local_directory(), "seen.keras"))
  expect_match(seen$output, "Epoch 1.*seen[.]keras", all = FALSE)
})

test_that("a file that cannot be written is a classed error of fit()", {
  skip_without_keras()
  skip_with_keras3()
  directory <- local_directory()
  saving <- callback_model_checkpoint(file.path(directory, "sub", "{epoch}.keras"))
  blocked <- file.path(directory, "sub")
  writeLines("no directory", blocked)
  expect_error(train(new_model(), saving), class = "kerascheckpoint_error")
})

test_that("an error of another callback is passed on as it is", {
  skip_without_keras()
  skip_with_keras3()
  failing <- reticulate::py_run_string(paste(
    "import keras",
    "class Failing(keras.callbacks.Callback):",
    "    def on_epoch_end(self, epoch, logs=None): raise ZeroDivisionError('theirs')",
    sep = "\n"
  ))$Failing()
  error <- expect_error(train(new_model(), failing), "theirs")
  expect_false(inherits(error, "kerascheckpoint_error"))
})

test_that("training carries on where it stopped", {
  skip_without_keras()
  path <- file.path(local_directory(), "{epoch:02d}.keras")
  kernel <- reticulate::import("keras")$initializers$Constant(.1)
  whole <- train(new_model(kernel_initializer = kernel), epochs = 4)
  train(new_model(kernel_initializer = kernel), callback_model_checkpoint(path), epochs = 2)
  model <- new_model()
  rest <- train(model, callback_model_checkpoint(path, resume = TRUE), epochs = 4)
  expect_identical(list_checkpoints(path)$epoch, 1:4)
  expect_equal(tail(rest$metrics$loss, 2), tail(whole$metrics$loss, 2))
})

test_that("an interrupt ends training with a checkpoint", {
  skip_without_keras()
  skip_on_os("windows")
  directory <- local_directory()
  seen <- in_new_session(function(directory) {
    library(kerascheckpoint)
    model <- keras_model_sequential(input_shape = 2) |>
      layer_dense(1) |>
      compile(loss = "mse", optimizer = "sgd")
    saving <- callback_model_checkpoint(file.path(directory, "{epoch}.weights.h5"),
                                        monitor = "loss", save_weights_only = TRUE,
                                        save_on_interrupt = TRUE)
    # Stands for the user's Ctrl-C in the second epoch's third batch.
    pressing <- reticulate::py_run_string(paste(
      "import keras, os, signal",
      "class Pressing(keras.callbacks.Callback):",
      "    def on_train_batch_begin(self, batch, logs=None):",
      "        if self.model.optimizer.iterations == 6: os.kill(os.getpid(), signal.SIGINT)",
      sep = "\n"
    ))$Pressing()
    history <- model |> fit(matrix(1, 4, 2), matrix(1, 4, 1), batch_size = 1, epochs = 5,
                            verbose = 0, callbacks = list(saving, pressing))
    if (saving$interrupted) "returned"
  }, directory)$value
  expect_identical(seen, "returned")
  newest <- tail(list_checkpoints(directory), 1)
  expect_identical(newest$reason, "interrupt")
  expect_identical(newest$epoch, 1L)
  expect_identical(newest$batch, 3L)
})
