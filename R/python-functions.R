# R functions of the user's that Python calls during training.

# Python passes indices from 0, and None for the batch at an epoch's end.
save_freq_function <- function(save_freq) {
  force(save_freq)
  function(epoch, batch, logs) {
    answer <- run_below_python(
      save_freq(epoch + 1L, if (!is.null(batch)) batch + 1L, as.list(logs))
    )
    if (!checkmate::test_flag(answer)) {
      pending$condition <- rlang::catch_cnd(abort(
        paste0("`save_freq` must return TRUE or FALSE, not ", describe_value(answer), "."),
        class = "kerascheckpoint_argument_error", argument = "save_freq", call = NULL
      ))
      raise_in_python(pending$condition)
    }
    answer
  }
}

# Python passes its own description of the file; R gets what verify_checkpoint() returns.
after_save_function <- function(after_save) {
  force(after_save)
  function(info) {
    checkpoint <- single_checkpoint(info)
    run_below_python(after_save(checkpoint))
    NULL
  }
}

# A named list becomes a dict, also inside; whole numbers become Python's integers.
as_dict <- function(options) {
  if (is.null(options)) {
    return(NULL)
  }
  values <- lapply(options, function(value) {
    is_dict <- is.list(value) && rlang::is_dictionaryish(value)
    if (is_dict) as_dict(value) else whole_as_integer(value)
  })
  reticulate::py_dict(names(options), unname(values), convert = FALSE)
}
