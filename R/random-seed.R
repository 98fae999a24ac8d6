# R's own random numbers are part of a checkpoint, so that an R generator which calls
# sample() goes on where it stopped.

# Returns JSON text. `seed` has the bytes of `.Random.seed`, since its numbers use all
# 32 bits and one of them may be NA. It is null where R has drawn no number yet, and
# for a generator of the user's own, whose state R does not know.
capture_random_seed <- function() {
  kind <- RNGkind()
  seed <- get0(".Random.seed", globalenv(), inherits = FALSE)
  bytes <- if (!is.null(seed) && !"user-supplied" %in% kind) {
    jsonlite::base64_enc(writeBin(seed, raw(), endian = "little"))
  }
  as.character(jsonlite::toJSON(
    list(kind = kind, seed = jsonlite::unbox(if (is.null(bytes)) NA_character_ else bytes)),
    na = "null"
  ))
}

# The first number of `.Random.seed` says the kinds, which R follows at the next draw.
restore_random_seed <- function(text) {
  seed <- jsonlite::fromJSON(text)$seed
  if (!is.null(seed)) {
    bytes <- jsonlite::base64_dec(seed)
    numbers <- readBin(bytes, "integer", length(bytes) %/% 4L, endian = "little")
    assign(".Random.seed", numbers, envir = globalenv())
    # Rcpp has read the state before it called Python and will write it back. This reads
    # the new one, and draws nothing.
    sample.int(1L, 0L)
  }
  invisible()
}
