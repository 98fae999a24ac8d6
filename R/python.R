# The bridge to Python: finds the Python half of this package, and Keras.

bridge <- new.env(parent = emptyenv())

# What the Python half needs, as in pyproject.toml (a test compares the two).
python_requirements <- c(
  "h5py>=3.9",
  "isal>=1.7; platform_machine in 'x86_64 AMD64 aarch64 arm64'",
  "keras>=3.3",
  "ml-dtypes>=0.3",
  "numpy>=1.24",
  "rich>=13"
)

# Imports a module of the Python half, such as core("catalog"); core() is the
# package itself. Neither imports Keras.
core <- function(module = NULL, convert = TRUE, call = rlang::caller_env()) {
  start_python(call)
  name <- paste(c("kerascheckpoint", module), collapse = ".")
  path <- system.file("python", package = "kerascheckpoint", mustWork = TRUE)
  imported <- import_or_abort(
    reticulate::import_from_path(name, path, convert = convert),
    "Python packages that kerascheckpoint needs are missing.",
    call
  )
  if (is.null(bridge$connected)) {
    bridge$connected <- TRUE
    notify <- reticulate::import_from_path("kerascheckpoint.notify", path)
    notify$set_warning_handler(signal_python_warning)
    host <- reticulate::import_from_path("kerascheckpoint.state.host", path)
    host$set_host_state(capture_random_seed, restore_random_seed)
  }
  imported
}

# Calls a function of the Python half that reads or writes checkpoints, once the files
# that are being written are complete.
call_on_files <- function(fun, ..., storage_options, module = NULL, convert = FALSE,
                          call = rlang::caller_env()) {
  check_storage_options(storage_options, call = call)
  finish_writing()
  with_python_conditions(
    core(module, convert = convert, call = call)[[fun]](
      ..., storage_options = as_dict(storage_options)
    ),
    call = call
  )
}

keras <- function(module = NULL, convert = TRUE, call = rlang::caller_env()) {
  start_python(call)
  name <- paste(c("keras", module), collapse = ".")
  import_or_abort(
    reticulate::import(name, convert = convert),
    "Keras 3 could not be imported into Python.",
    call
  )
}

import_or_abort <- function(code, headline, call) {
  tryCatch(code, error = function(error) {
    abort(
      c(headline, x = trimws(conditionMessage(error)), python_advice()),
      class = "kerascheckpoint_python_error",
      call = call
    )
  })
}

start_python <- function(call) {
  if (reticulate::py_available(initialize = FALSE)) {
    return(invisible())
  }
  declare_requirements()
  # Keeps TensorFlow from printing a page of notes; a value set by the user stays.
  if (!nzchar(Sys.getenv("TF_CPP_MIN_LOG_LEVEL"))) {
    Sys.setenv(TF_CPP_MIN_LOG_LEVEL = "2")
  }
  started <- tryCatch(
    reticulate::py_available(initialize = TRUE),
    error = function(error) error
  )
  if (!isTRUE(started)) {
    abort(
      c(
        "No usable Python was found.",
        x = if (inherits(started, "error")) trimws(conditionMessage(started)),
        python_advice()
      ),
      class = "kerascheckpoint_python_error",
      call = call
    )
  }
}

# reticulate 1.41 and later can provide a Python that meets declared
# requirements. Where the user has chosen a Python, a declaration changes nothing.
declare_requirements <- function() {
  if (!reticulate_can_provide()) {
    return(invisible())
  }
  py_require <- getExportedValue("reticulate", "py_require")
  py_require(python_requirements)
  # keras3 declares its backend itself.
  if (!isNamespaceLoaded("keras3")) {
    backend <- Sys.getenv("KERAS_BACKEND", "tensorflow")
    py_require(if (backend %in% c("jax", "torch")) backend else "tensorflow")
  }
}

reticulate_can_provide <- function() "py_require" %in% getNamespaceExports("reticulate")

python_advice <- function() {
  packages <- sub("[^a-z0-9-].*", "", python_requirements)
  c(
    i = paste0(
      "kerascheckpoint needs a Python with ", paste(packages, collapse = ", "),
      " and one of TensorFlow, JAX or PyTorch. Choose it before the first call: ",
      "reticulate::use_virtualenv(\"path/to/.venv\"), or the environment variable ",
      "RETICULATE_PYTHON."
    ),
    i = "In a clone of this package's repository, `make example` prepares such a .venv."
  )
}

# For examples, the vignette and tests: is there a Python with Keras? Finds out
# without importing Keras, which takes seconds, and without letting reticulate
# download a Python.
keras_is_available <- function() {
  chosen <- nzchar(Sys.getenv(c("RETICULATE_PYTHON", "RETICULATE_PYTHON_ENV", "VIRTUAL_ENV")))
  if (reticulate_can_provide() && !any(chosen) && !reticulate::py_available(initialize = FALSE)) {
    return(FALSE)
  }
  tryCatch(
    {
      start_python(rlang::current_env())
      util <- reticulate::import("importlib.util")
      !is.null(util$find_spec("keras")) && !is.null(util$find_spec("h5py"))
    },
    error = function(error) FALSE
  )
}
