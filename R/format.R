# How numbers, sizes, names and paths are shown to a person.

count <- function(n, noun) paste0(n, " ", noun, if (n == 1L) "" else "s")

blank_na <- function(x) ifelse(is.na(x), "", format(x, trim = TRUE))

# Powers of 1000, as disks and file managers count.
format_bytes <- function(bytes) {
  vapply(bytes, function(size) {
    if (is.na(size)) {
      return("?")
    }
    format(structure(size, class = "object_size"), units = "auto", standard = "SI")
  }, "")
}

# Names of files and metrics come from outside. Characters that a terminal obeys
# (escape sequences, changes of the writing direction, line breaks) are shown by
# their codes.
printable <- function(text) {
  known <- !is.na(text)
  text[known] <- iconv(enc2utf8(text[known]), "UTF-8", "UTF-8", sub = "byte")
  unseen <- gregexpr("[\\p{Cc}\\p{Cf}\\p{Zl}\\p{Zp}]", text[known], perl = TRUE)
  regmatches(text[known], unseen) <- lapply(
    regmatches(text[known], unseen),
    function(characters) vapply(characters, character_code, "", USE.NAMES = FALSE)
  )
  text
}

character_code <- function(character) {
  code <- utf8ToInt(character)
  form <- if (code < 0x100) "\\x%02x" else if (code < 0x10000) "\\u%04x" else "\\U%08x"
  sprintf(form, code)
}

# The directory that all files share; "" for none, as for files of two protocols.
common_directory <- function(paths) {
  scheme <- unique(url_scheme(paths))
  if (length(scheme) != 1L) {
    return("")
  }
  shared <- fs::path_common(fs::path_dir(without_scheme(paths)))
  paste0(scheme, if (!nzchar(shared) && !nzchar(scheme)) "." else shared)
}

within_directory <- function(paths, directory) {
  if (!nzchar(directory)) {
    return(paths)
  }
  start <- without_scheme(directory)
  inner <- without_scheme(paths)
  if (nzchar(start)) as.character(fs::path_rel(inner, start)) else inner
}

without_scheme <- function(paths) substring(paths, nchar(url_scheme(paths)) + 1L)

url_scheme <- function(paths) ifelse(is_url(paths), sub("(://).*$", "\\1", paths), "")
