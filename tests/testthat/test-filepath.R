# A file must land where the user said, whatever happens to the session later.

test_that("a brace without its partner is found before Python starts", {
  for (good in c("a", "{epoch}", "{epoch:02d}-{val_loss:.2f}", "{{epoch}}", "{{{epoch}}}", "a{{b",
                 "{dense_1_acc}", "{val acc!r:>8}", "{epoch:zz}", "{}")) {
    expect_false(has_unpaired_brace(good), label = good)
  }
  for (bad in c("{epoch", "epoch}", "{epoch}}", "{{epoch}", "{a{b}}")) {
    expect_true(has_unpaired_brace(bad), label = bad)
  }
})

test_that("a placeholder without a name is found before Python starts", {
  for (good in c("a", "{epoch}", "{epoch:0}", "{{0}}", "{{}}", "{{:}}", "{a0!r:0}", "{{{a}}}")) {
    expect_false(has_nameless_placeholder(good), label = good)
  }
  for (bad in c("{}", "{0}", "{:02d}", "{!r}", "{{{}}}", "{epoch}{1:d}")) {
    expect_true(has_nameless_placeholder(bad), label = bad)
  }
})

test_that("Python refuses the placeholders that it could not fill", {
  skip_without_keras()
  for (good in c("{epoch:02d}-{val_loss:.2f}", "{{{epoch}}}", "{val acc!r:>8}", "{epoch!s}",
                 "{loss!r:zz}", "{loss:+.2e}", "{loss:*>9}", "{name:s}", "{step:_x}")) {
    path <- file.path(local_directory(), paste0(good, ".keras"))
    expect_no_error(callback_model_checkpoint(path))
  }
  for (bad in c("{epoch:zz}", "{epoch:.2}", "{step!q}", "{step:s}",
                "{loss:.2q}", "{loss:.}", "{loss:+s}")) {
    path <- file.path(local_directory(), paste0(bad, ".keras"))
    caught <- expect_error(callback_model_checkpoint(path), bad, fixed = TRUE,
                           class = "kerascheckpoint_argument_error")
    expect_identical(caught$argument, "filepath", label = bad)
  }
})

test_that("paths are absolute, with ~ expanded", {
  withr::local_dir(local_directory())
  expect_identical(absolute_path("a/b.keras"), file.path(getwd(), "a/b.keras"))
  expect_identical(absolute_path("/a/b.keras"), "/a/b.keras")
  expect_identical(absolute_path("~/b.keras"), file.path(path.expand("~"), "b.keras"))
})

test_that("braces in a directory that the user did not write are no placeholders", {
  withr::local_dir(local_directory("{odd}"))
  expect_match(absolute_path("{epoch}.keras", template = TRUE), "/{{odd}}/{epoch}.keras",
               fixed = TRUE)
  expect_match(absolute_path("{epoch}.keras"), "/{odd}/{epoch}.keras", fixed = TRUE)
})

test_that("a URL stays as it is, and an Orbax directory may hold either", {
  expect_identical(check_filepath("s3://bucket/a/../{epoch}.keras", FALSE, FALSE),
                   "s3://bucket/a/../{epoch}.keras")
  for (weights_only in c(TRUE, FALSE)) {
    expect_identical(check_filepath("/a/{epoch}.orbax", weights_only, TRUE), "/a/{epoch}.orbax")
  }
})

test_that("an existing directory is refused when the callback is made, whatever its name", {
  skip_without_keras()
  withr::local_dir(local_directory())
  dir.create("{a}.keras")
  caught <- expect_error(callback_model_checkpoint("{{a}}.keras"), "directory",
                         class = "kerascheckpoint_argument_error")
  expect_identical(caught$argument, "filepath")
})

test_that("an fs::path is a path", {
  expect_identical(check_filepath(fs::path("/a", "b.keras"), FALSE, FALSE), "/a/b.keras")
})
