# Prints the R packages that are missing or too old, one a line: those that DESCRIPTION imports,
# with --suggested those that it suggests too, and those given as arguments. Packages that are
# optional even for the tests are left out.

optional <- c("keras3", "tensorflow")

arguments <- commandArgs(trailingOnly = TRUE)
is_flag <- arguments == "--suggested"
extras <- unique(arguments[!is_flag])

fields <- c("Depends", "Imports", if (any(is_flag)) "Suggests")
description <- read.dcf("DESCRIPTION", fields = fields)
entries <- trimws(unlist(strsplit(description[!is.na(description)], ",")))
names <- sub("[ (].*", "", gsub("\\s+", " ", entries))
versions <- ifelse(grepl(">=", entries), gsub(".*>=\\s*|\\s*\\).*", "", entries), "0")

wanted <- data.frame(
  name = c(names, extras),
  version = c(versions, rep("0", length(extras)))
)
wanted <- wanted[nzchar(wanted$name) & !wanted$name %in% optional, ]

is_r <- wanted$name == "R"
if (any(getRversion() < wanted$version[is_r])) {
  message("R ", max(wanted$version[is_r]), " or later is needed; this is R ", getRversion(), ".")
  quit(status = 1)
}

is_missing <- function(name, version) {
  !nzchar(system.file(package = name)) || utils::packageVersion(name) < version
}
wanted <- wanted[!is_r, ]
writeLines(wanted$name[mapply(is_missing, wanted$name, wanted$version)])
