# Runs the R tests on the installed package; closes with a line of counts; fails when a test does.

Sys.setenv(NOT_CRAN = "true")
results <- as.data.frame(testthat::test_dir(
  "tests/testthat",
  package = "kerascheckpoint",
  load_package = "installed",
  reporter = "summary",
  stop_on_failure = FALSE
))

passed <- sum(results$passed)
failed <- sum(results$failed) + sum(results$error)
skipped <- sum(results$skipped)
cat(sprintf("\n%d passed, %d failed, %d skipped\n", passed, failed, skipped))
quit(status = failed > 0 || passed == 0)
