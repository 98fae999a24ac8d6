# Python is started when it is needed, not before, and its absence is explained.

test_that("attaching the package starts no Python", {
  seen <- in_new_session(function() {
    library(kerascheckpoint)
    reticulate::py_available(initialize = FALSE)
  })
  expect_false(seen$value)
})

test_that("a Python without what is needed is an error that says what to do", {
  python <- Sys.which("python3")
  skip_if_not(nzchar(python), "a python3 on the path")
  empty <- withr::local_tempdir()
  made <- suppressWarnings(system2(python, c("-m", "venv", "--without-pip", empty),
                                   stdout = TRUE, stderr = TRUE))
  skip_if_not(file.exists(file.path(empty, "bin", "python")), "venv")
  seen <- in_new_session(function() {
    error <- tryCatch(
      kerascheckpoint::callback_model_checkpoint("a.keras"),
      error = function(error) error
    )
    list(class = class(error), text = conditionMessage(error))
  }, env = c(RETICULATE_PYTHON = file.path(empty, "bin", "python")))$value
  expect_true("kerascheckpoint_python_error" %in% seen$class)
  expect_match(seen$text, "RETICULATE_PYTHON")
  expect_match(seen$text, "keras")
})

test_that("looking at files imports neither Keras nor a backend", {
  skip_without_keras()
  seen <- in_new_session(function(directory) {
    kerascheckpoint::list_checkpoints(directory)
    loaded <- names(reticulate::import("sys")$modules)
    intersect(c("keras", "tensorflow", "jax", "torch"), loaded)
  }, local_directory())$value
  expect_identical(seen, character())
})

test_that("R declares the Python packages that pyproject.toml asks for", {
  project <- test_path("..", "..", "pyproject.toml")
  skip_if_not(file.exists(project), "a checkout of the repository")
  lines <- readLines(project)
  first <- match("dependencies = [", lines)
  listed <- lines[seq(first + 1L, first + match("]", lines[-seq_len(first)]) - 1L)]
  expect_identical(python_requirements, sub("^ *\"(.*)\",$", "\\1", listed))
})
