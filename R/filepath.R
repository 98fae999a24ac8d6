# The path (or template of paths) that a callback writes to.

# A path as Python gets it: UTF-8, `~` expanded, and absolute from this moment
# on, whatever the working directory is when a file is written or read.
absolute_path <- function(path, template = FALSE) {
  path <- enc2utf8(as.character(path))
  expanded <- path.expand(path)
  keep <- if (template) escape_braces else identity
  if (!identical(expanded, path)) {
    home <- sub("(?<=.)/.*$|^$", "", path, perl = TRUE)
    return(paste0(keep(path.expand(home)), substring(path, nchar(home) + 1L)))
  }
  if (grepl("^(/|\\\\|[A-Za-z]:)", path)) {
    return(path)
  }
  file.path(keep(enc2utf8(getwd())), path)
}

# A brace in the name of a directory that only we put in front is no placeholder.
escape_braces <- function(path) gsub("([{}])", "\\1\\1", path)

unescape_braces <- function(path) gsub("([{}])\\1", "\\1", path)

# A URL would be taken for a relative path, and files land in a directory "s3:".
check_mounted <- function(path, argument, call) {
  if (grepl("^[A-Za-z][A-Za-z0-9+.-]+://", path)) {
    abort_argument(
      argument, path,
      "a path on a mounted file system: mount the remote storage, or save locally and copy it",
      call = call
    )
  }
}

check_filepath <- function(filepath, save_weights_only, resume, call = rlang::caller_env()) {
  refuse <- function(headline, accepted) {
    abort_argument("filepath", filepath, accepted, headline = headline, call = call)
  }
  if (!checkmate::test_string(filepath, min.chars = 1L)) {
    refuse(NULL, "one path, as a string or an fs::path")
  }
  check_mounted(filepath, "filepath", call)
  check_suffix(filepath, save_weights_only, resume, refuse)
  problem <- template_problem(filepath)
  if (!is.null(problem)) {
    refuse(paste0("`filepath` ", problem, "."), accepted_templates)
  }
  path <- absolute_path(filepath, template = TRUE)
  if (dir.exists(unescape_braces(path))) {
    refuse("`filepath` is an existing directory.", "the path of a file, or a template of one")
  }
  path
}

check_suffix <- function(filepath, save_weights_only, resume, refuse) {
  suffix <- Find(function(suffix) endsWith(filepath, suffix), c(".weights.h5", ".keras", ".h5", ""))
  if (save_weights_only && suffix != ".weights.h5") {
    refuse(
      "With `save_weights_only = TRUE`, `filepath` must end in \".weights.h5\".",
      "a path that ends in \".weights.h5\", or set `save_weights_only = FALSE`"
    )
  }
  if (!save_weights_only && suffix == ".weights.h5") {
    refuse(
      "A \".weights.h5\" file holds weights only: set `save_weights_only = TRUE`.",
      "a path that ends in \".keras\" (or \".h5\") for a whole model"
    )
  }
  if (suffix == "") {
    refuse(
      "For a whole model, `filepath` must end in \".keras\" (or \".h5\").",
      "a path that ends in \".keras\", or in \".weights.h5\" with `save_weights_only = TRUE`"
    )
  }
  if (resume && suffix == ".h5") {
    refuse(
      "A legacy \".h5\" file keeps no record to resume from.",
      "with `resume = TRUE`, a path that ends in \".keras\" or \".weights.h5\""
    )
  }
}

accepted_templates <- paste(
  "named formatting options such as {epoch}, {epoch:02d} or {val_loss:.2f};",
  "a brace that is part of a name is written twice"
)

# What is wrong with a template, in Python's format syntax; NULL if nothing is.
template_problem <- function(template) {
  rest <- gsub("{{", "", template, fixed = TRUE)
  field <- "\\{[^{}]*\\}"
  fields <- gsub("[{}]", "", regmatches(rest, gregexpr(field, rest))[[1L]])
  if (any(grepl("^[0-9 ]*([!:]|$)", fields))) {
    return("has a formatting option without a name")
  }
  rest <- gsub("}}", "", gsub(field, "", rest), fixed = TRUE)
  if (grepl("[{}]", rest)) {
    return("has a brace without its partner")
  }
  if (any(grepl("^[^!:]*!(?![rsa](:|$))", fields, perl = TRUE))) {
    return("has a conversion other than !r, !s and !a")
  }
  misfit <- fields[!vapply(fields, has_fitting_format, NA)]
  if (length(misfit)) {
    return(sprintf("has a format that suits no value of its name, {%s}", misfit[[1L]]))
  }
  NULL
}

# What is between braces: a name, a conversion, a format. After a conversion the
# value is a text of unknown length, and Python judges when it is filled in.
has_fitting_format <- function(field) {
  if (grepl("^[^:]*!", field)) {
    return(TRUE)
  }
  name <- sub(":.*", "", field)
  format <- substring(field, nchar(name) + 2L)
  grammars <- c(whole_number_format, if (!name %in% counters) c(number_format, text_format))
  any(vapply(grammars, grepl, NA, x = format, perl = TRUE))
}

counters <- c("epoch", "batch", "step")

# Python's formats: fill, sign, width, grouping, then a type of integers, or a
# precision and a type of floats. A metric may be a text, too.
format_of <- function(sign, rest, align = "<>=^") {
  sprintf("^(.?[%s])?%s0?[0-9]*(%s)$", align, sign, rest)
}

any_number_format <- format_of("[-+ ]?z?#?", "[_,]?([.][0-9]+)?[eEfFgG%]")
whole_number_format <- c(
  any_number_format,
  format_of("[-+ ]?#?", "[_,]?d?|_?[boxX]|n"),
  format_of("", "c")
)
number_format <- format_of("[-+ ]?z?#?", "[_,]?([.][0-9]+)?|([.][0-9]+)?n")
text_format <- format_of("", "([.][0-9]+)?s?", align = "<>^")
