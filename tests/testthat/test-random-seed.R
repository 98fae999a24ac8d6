# A generator written in R draws after a restart what it would have drawn without one.

test_that("random numbers of every kind go on where they stopped", {
  kinds <- list(
    c("Mersenne-Twister", "Inversion", "Rejection"), c("Wichmann-Hill", "Inversion", "Rejection"),
    c("L'Ecuyer-CMRG", "Ahrens-Dieter", "Rounding")
  )
  withr::local_preserve_seed()
  for (kind in kinds) {
    suppressWarnings(set.seed(3, kind[1], kind[2], kind[3]))
    runif(5)
    text <- capture_random_seed()
    expected <- list(runif(3), rnorm(3), sample(100, 3))
    suppressWarnings(set.seed(4, "default", "default", "default"))
    restore_random_seed(text)
    expect_identical(list(runif(3), rnorm(3), sample(100, 3)), expected, label = kind[1])
    expect_identical(RNGkind(), kind)
  }
})

test_that("numbers that use all 32 bits, NA among them, come back", {
  withr::local_preserve_seed()
  set.seed(1, "Mersenne-Twister", "Inversion", "Rejection")
  state <- .Random.seed
  state[5:7] <- c(NA, .Machine$integer.max, -.Machine$integer.max)
  assign(".Random.seed", state, envir = globalenv())
  text <- capture_random_seed()
  set.seed(2)
  restore_random_seed(text)
  expect_identical(.Random.seed, state)
})

test_that("where R has drawn no number, nothing is restored", {
  withr::local_preserve_seed()
  set.seed(1)
  rm(".Random.seed", envir = globalenv())
  withr::defer(set.seed(1)) # before withr looks for a seed to replace
  text <- capture_random_seed()
  expect_null(jsonlite::fromJSON(text)$seed)
  set.seed(1)
  state <- .Random.seed
  restore_random_seed(text)
  expect_identical(.Random.seed, state)
})

# Train after set.seed(5); return what R draws next. R's seed is another one afterwards.
drawn_after_training <- function(path, epochs) {
  set.seed(5)
  train(new_model(), callback_model_checkpoint(path), epochs = epochs)
  expected <- runif(3)
  set.seed(6)
  expected
}

test_that("a resumed run draws in R what it would have drawn", {
  skip_without_keras()
  withr::local_preserve_seed()
  path <- file.path(local_directory(), "{epoch}.keras")
  expected <- drawn_after_training(path, epochs = 2)
  train(new_model(), callback_model_checkpoint(path, resume = TRUE), epochs = 3)
  expect_identical(runif(3), expected)
})

test_that("restore_checkpoint() and a finished run restore R's random numbers as well", {
  skip_without_keras()
  withr::local_preserve_seed()
  path <- file.path(local_directory(), "{epoch}.keras")
  expected <- drawn_after_training(path, epochs = 1)
  restore_checkpoint(new_model(), sub("{epoch}", "1", path, fixed = TRUE))
  expect_identical(runif(3), expected)
  set.seed(6)
  finished <- callback_model_checkpoint(path, resume = TRUE)
  expect_warning(train(new_model(), finished, epochs = 1), "nothing to train")
  expect_identical(runif(3), expected)
})
