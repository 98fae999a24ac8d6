# Installs R packages from CRAN, or from the repository in option "repos", into a library.
# Usage: Rscript tools/install-packages.R LIBRARY PACKAGE...

arguments <- commandArgs(trailingOnly = TRUE)
if (identical(unname(getOption("repos")["CRAN"]), "@CRAN@")) {
  utils::chooseCRANmirror(ind = 1, local.only = TRUE)
}
utils::install.packages(arguments[-1], lib = arguments[1], quiet = TRUE)
