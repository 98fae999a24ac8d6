# A file must land where the user said, whatever happens to the session later.

test_that("templates that Python could not fill are found", {
  for (good in c("a", "{epoch}", "{epoch:02d}-{val_loss:.2f}", "{{epoch}}", "{{{epoch}}}", "a{{b",
                 "{dense_1_acc}", "{val acc!r:>8}", "{epoch:>5}", "{epoch:.1f}", "{step:,}",
                 "{epoch!s}", "{epoch:}", "{val_loss:.3f}", "{loss!r:zz}", "{loss:.2}",
                 "{loss:+.2e}", "{loss:,.1f}", "{loss:*>9}", "{loss:.2n}", "{loss:05d}", "{name:s}",
                 "{name:.3}", "{step:_x}")) {
    expect_null(template_problem(good), label = good)
  }
  for (bad in c("{}", "{0}", "{:02d}", "{!r}", "{epoch", "epoch}", "{epoch}}", "{{epoch}",
                "{a{b}}", "{epoch:zz}", "{epoch:.2}", "{batch:2d2}", "{step!q}", "{step:s}",
                "{step:,x}", "{loss:.2q}", "{loss:zz}", "{epochs:zz}", "{loss:.}", "{loss:2.f}",
                "{loss:+s}")) {
    expect_type(template_problem(bad), "character")
  }
})

test_that("a format that no metric fits is a refused argument, before Python starts", {
  caught <- expect_error(check_filepath("{loss:.2q}.keras", FALSE, FALSE), "{loss:.2q}",
                         fixed = TRUE, class = "kerascheckpoint_argument_error")
  expect_identical(caught$argument, "filepath")
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

test_that("an existing directory is found whatever its name", {
  withr::local_dir(local_directory())
  dir.create("{a}.keras")
  expect_error(check_filepath("{{a}}.keras", FALSE, FALSE), "existing directory",
               class = "kerascheckpoint_argument_error")
})

test_that("an fs::path is a path", {
  skip_if_not_installed("fs")
  expect_identical(check_filepath(fs::path("/a", "b.keras"), FALSE, FALSE), "/a/b.keras")
})
