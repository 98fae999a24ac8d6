# What a person reads in the console must fit it, and must not command it.

test_that("bytes are shown in the unit that fits", {
  expect_identical(format_bytes(c(0, 999, 1000, 12345, 5e9, NA)),
                   c("0 B", "999 B", "1 kB", "12.3 kB", "5 GB", "?"))
  expect_identical(format_bytes(double()), character())
})

test_that("characters that a terminal obeys are shown by their codes", {
  expect_identical(printable("a\033[31mred\n"), "a\\x1b[31mred\\x0a")
  expect_identical(printable("exe.\u202egnp"), "exe.\\u202egnp")
  expect_identical(printable("line\u2028break"), "line\\u2028break")
  expect_identical(printable(c("plain \u00e9 \u4e2d", NA)), c("plain \u00e9 \u4e2d", NA))
  expect_identical(printable(character()), character())
  expect_identical(printable("\xff.keras"), "<ff>.keras")
})

test_that("files show by their place within the shared directory", {
  paths <- c("/run/a/1.keras", "/run/b/2.keras")
  expect_identical(common_directory(paths), "/run")
  expect_identical(within_directory(paths, "/run"), c("a/1.keras", "b/2.keras"))
  expect_identical(common_directory("/1.keras"), "/")
  expect_identical(within_directory("/1.keras", "/"), "1.keras")
  expect_identical(common_directory(character()), "")
})

test_that("so do relative paths and URLs", {
  expect_identical(common_directory(c("run/1.keras", "run/2.keras")), "run")
  expect_identical(within_directory("run/1.keras", "run"), "1.keras")
  expect_identical(common_directory(c("1.keras", "2.keras")), ".")
  expect_identical(within_directory("1.keras", "."), "1.keras")
  urls <- c("s3://bucket/run/a/1.keras", "s3://bucket/run/b/2.keras")
  expect_identical(common_directory(urls), "s3://bucket/run")
  expect_identical(within_directory(urls, "s3://bucket/run"), c("a/1.keras", "b/2.keras"))
  expect_identical(common_directory(c("s3://one/1.keras", "s3://two/2.keras")), "s3://")
  mixed <- c("/run/1.keras", "s3://two/2.keras")
  expect_identical(within_directory(mixed, common_directory(mixed)), mixed)
})
