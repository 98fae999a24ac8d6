# Where a callback writes to and where readers look: a path, a template or a URL.

# Returns a path as Python receives it: in UTF-8, and absolute from now on,
# whatever the working directory is later. A URL stays as it is.
absolute_path <- function(path, template = FALSE) {
  path <- enc2utf8(as.character(path))
  if (is_url(path)) {
    return(path)
  }
  literal <- if (template) escape_braces else identity
  home <- regmatches(path, regexpr("^~[^/\\\\]*", path))
  if (length(home)) {
    path <- paste0(literal(enc2utf8(path.expand(home))), substring(path, nchar(home) + 1L))
  }
  as.character(fs::path_abs(path, start = literal(enc2utf8(getwd()))))
}

# Python's name for a URL is the part before "://"; a drive has one letter only.
is_url <- function(path) grepl("^[A-Za-z][A-Za-z0-9+.:-]+://", path)

# Python makes a local path of a URL such as "file:///run".
is_remote <- function(path) is_url(path) && !grepl("^(file|local)://", path, ignore.case = TRUE)

# The user wrote no braces in a directory that we put in front, so these are
# part of a name.
escape_braces <- function(path) gsub("([{}])", "\\1\\1", path)

# Checks what can be checked without Python; the rest of the grammar of format
# strings is Python's, which refuses what it cannot fill when the callback is made.
check_filepath <- function(filepath, save_weights_only, resume, call = rlang::caller_env()) {
  refuse <- function(headline, accepted) {
    abort_argument("filepath", filepath, accepted, headline = headline, call = call)
  }
  if (!checkmate::test_string(filepath, min.chars = 1L)) {
    refuse(NULL, "one path, as a string or an fs::path")
  }
  check_suffix(filepath, save_weights_only, resume, refuse)
  check_braces(filepath, call)
  check_names(filepath, call)
  absolute_path(filepath, template = TRUE)
}

check_suffix <- function(filepath, save_weights_only, resume, refuse) {
  known <- c(".weights.h5", ".keras", ".orbax", ".h5", "")
  suffix <- Find(function(suffix) endsWith(filepath, suffix), known)
  if (save_weights_only && !suffix %in% c(".weights.h5", ".orbax")) {
    refuse(
      "With `save_weights_only = TRUE`, `filepath` must end in \".weights.h5\" (or \".orbax\").",
      "a path that ends in \".weights.h5\", or set `save_weights_only = FALSE`"
    )
  }
  if (!save_weights_only && suffix == ".weights.h5") {
    refuse(
      "A \".weights.h5\" file holds weights only: set `save_weights_only = TRUE`.",
      "a path that ends in \".keras\" (or \".orbax\", \".h5\") for a whole model"
    )
  }
  if (suffix == "") {
    refuse(
      "For a whole model, `filepath` must end in \".keras\" (or \".orbax\", \".h5\").",
      "a path that ends in \".keras\", or in \".weights.h5\" with `save_weights_only = TRUE`"
    )
  }
  if (resume && suffix == ".h5") {
    refuse(
      "A legacy \".h5\" file keeps no record to resume from.",
      "with `resume = TRUE`, a path that ends in \".keras\", \".weights.h5\" or \".orbax\""
    )
  }
}

check_braces <- function(filepath, call = rlang::caller_env()) {
  if (has_unpaired_brace(filepath)) {
    abort_argument(
      "filepath", filepath,
      paste(
        "placeholders in pairs of braces such as {epoch}, {epoch:02d} or {val_loss:.2f};",
        "write a brace that is part of a name twice"
      ),
      headline = "`filepath` has a brace without its partner.", call = call
    )
  }
}

check_names <- function(filepath, call = rlang::caller_env()) {
  if (has_nameless_placeholder(filepath)) {
    abort_argument(
      "filepath", filepath, "a name in each placeholder, as in {epoch:02d}",
      headline = "`filepath` has a placeholder without a name.", call = call
    )
  }
}

# A number is no name either: there are no positions to fill.
has_nameless_placeholder <- function(template) {
  grepl("\\{[0-9]*[}:!]", gsub("{{", "", template, fixed = TRUE))
}

has_unpaired_brace <- function(template) {
  rest <- gsub("{{", "", template, fixed = TRUE)
  rest <- gsub("\\{[^{}]*\\}", "", rest)
  grepl("[{}]", gsub("}}", "", rest, fixed = TRUE))
}
