# Runs lintr over the package and over the scripts beside it; fails when it finds anything.

found <- list(lintr::lint_package(), lintr::lint_dir("tools"), lintr::lint_dir("examples"))
count <- sum(lengths(found))
for (lints in found[lengths(found) > 0]) print(lints)
cat("lintr:", count, "found\n")
quit(status = count > 0)
