# Prints the R packages that are missing or too old, one a line: those DESCRIPTION names, and those
# given as arguments. What is optional even for the tests is left out.

optional <- c("keras3", "tensorflow")

description <- read.dcf("DESCRIPTION", fields = c("Depends", "Imports", "Suggests"))
entries <- trimws(unlist(strsplit(description[!is.na(description)], ",")))
names <- sub("[ (].*", "", gsub("\\s+", " ", entries))
versions <- ifelse(grepl(">=", entries), gsub(".*>=\\s*|\\s*\\).*", "", entries), "0")

wanted <- data.frame(
  name = c(names, commandArgs(trailingOnly = TRUE)),
  version = c(versions, rep("0", length(commandArgs(trailingOnly = TRUE))))
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
