# What several test files need. Every file that a test writes lies in a directory
# of its own under tempdir().

Sys.setenv(TF_CPP_MIN_LOG_LEVEL = "3", TF_ENABLE_ONEDNN_OPTS = "0")

skip_without_keras <- function() {
  # A Python that was asked for must work: then nothing is skipped.
  if (!nzchar(Sys.getenv("RETICULATE_PYTHON"))) {
    skip_if_not(keras_is_available(), "Python with Keras")
  }
}

skip_with_keras3 <- function() {
  skip_if(requireNamespace("keras3", quietly = TRUE), "keras3 is installed")
}

# A model of the help page's size, which learns from nothing and trains at once.
new_model <- function(...) {
  keras_model_sequential(input_shape = c(10)) |>
    layer_dense(1, activation = "sigmoid", ...) |>
    compile(loss = "binary_crossentropy", optimizer = "adam", metrics = c("accuracy"))
}

train <- function(model, ..., epochs = 2, verbose = 0, validation_split = .5) {
  x <- matrix(sin(1:80), 8)
  y <- matrix(rep(0:1, 4), 8)
  model |> fit(x, y, callbacks = list(...), epochs = epochs, verbose = verbose,
               validation_split = validation_split, batch_size = 2, shuffle = FALSE)
}

local_directory <- function(name = "run", env = parent.frame()) {
  directory <- withr::local_tempdir(.local_envir = env)
  path <- file.path(directory, name)
  dir.create(path)
  path
}

# Runs a function in an R session of its own; returns its value and all that the
# session printed.
in_new_session <- function(fun, ..., env = character()) {
  call <- withr::local_tempfile(fileext = ".rds")
  result <- withr::local_tempfile(fileext = ".rds")
  environment(fun) <- globalenv()
  saveRDS(list(fun = fun, arguments = list(...)), call)
  code <- sprintf(
    "call <- readRDS('%s'); saveRDS(do.call(call$fun, call$arguments), '%s')", call, result
  )
  script <- withr::local_tempfile(lines = code, fileext = ".R")
  withr::local_envvar(R_LIBS = paste(.libPaths(), collapse = .Platform$path.sep), R_TESTS = "")
  withr::local_envvar(env)
  output <- suppressWarnings(system2(
    file.path(R.home("bin"), "Rscript"), c("--no-init-file", shQuote(script)),
    stdout = TRUE, stderr = TRUE
  ))
  if (!file.exists(result)) {
    stop("The other R session failed:\n", paste(output, collapse = "\n"))
  }
  value <- readRDS(result)
  list(value = value, output = output)
}
