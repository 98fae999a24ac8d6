# R users count from 1, in their own functions too.

test_that("save_freq gets indices from 1 and must answer TRUE or FALSE", {
  seen <- list()
  asked <- save_freq_function(function(epoch, batch, logs) {
    seen[[length(seen) + 1L]] <<- list(epoch, batch, logs)
    TRUE
  })
  expect_true(asked(0L, 4L, list(loss = .5)))
  expect_true(asked(1L, NULL, list()))
  expect_identical(seen, list(list(1L, 5L, list(loss = .5)), list(2L, NULL, list())))
  for (wrong in list(NULL, NA, 1, c(TRUE, FALSE), "yes")) {
    expect_error(save_freq_function(function(...) wrong)(0L, 0L, list()), "TRUE or FALSE")
  }
})
