# Writes the R help pages and the vignettes as Markdown pages for the site.
# Usage: Rscript tools/site-pages.R DIRECTORY

directory <- commandArgs(trailingOnly = TRUE)[1]

# The body of one help page as HTML, links within the package pointing into the same page.
help_page <- function(path, topics) {
  file <- tempfile(fileext = ".html")
  tools::Rd2HTML(path, out = file, package = "kerascheckpoint", dynamic = FALSE)
  html <- paste(readLines(file, encoding = "UTF-8"), collapse = "\n")
  body <- sub("(?s).*?<main>|(?s).*?<body>(?:<div class=\"container\">)?", "", html, perl = TRUE)
  body <- sub("(?s)</main>.*|(?s)(?:</div>)?\\s*</body>.*", "", body, perl = TRUE)
  body <- sub("(?s)<table[^>]*>.*?</table>", "", body, perl = TRUE) # the running head
  body <- gsub("href=['\"](?:\\.\\./\\.\\./[^'\"]*/)?([A-Za-z0-9_.-]+)\\.html(#[^'\"]*)?['\"]",
               "href='#\\1'", body, perl = TRUE)
  name <- sub("\\.Rd$", "", basename(path))
  title <- sub("(?s).*?<h2[^>]*>(.*?)</h2>.*", "\\1", body, perl = TRUE)
  body <- sub("(?s)<h2[^>]*>.*?</h2>", "", body, perl = TRUE)
  body <- gsub("<h3>(.*?)</h3>", "<p class='r-section'><strong>\\1</strong></p>", body)
  # Blank lines would end the HTML block for Markdown, except in code, where they must stay.
  body <- gsub("\n\\s*\n", "\n<!-- -->\n", body, perl = TRUE)
  paste0("## ", title, " {#", name, "}\n\n<div class='r-help'>\n", body, "\n</div>\n")
}

pages <- sort(list.files("man", "[.]Rd$", full.names = TRUE))
pages <- pages[!grepl("-package[.]Rd$|reexports[.]Rd$", pages)]
first <- grepl("callback_model_checkpoint", pages, fixed = TRUE)
texts <- vapply(c(pages[first], pages[!first]), help_page, "")
writeLines(c("# R reference\n", "The help pages of the R package.\n", texts),
           file.path(directory, "r.md"), useBytes = TRUE)

articles <- file.path(directory, "articles")
dir.create(articles, showWarnings = FALSE)
for (vignette in list.files("vignettes", "[.]Rmd$", full.names = TRUE)) {
  rmarkdown::render(
    vignette,
    output_format = rmarkdown::md_document(variant = "gfm", preserve_yaml = FALSE),
    output_dir = articles, quiet = TRUE
  )
  page <- file.path(articles, sub("[.]Rmd$", ".md", basename(vignette)))
  title <- rmarkdown::yaml_front_matter(vignette)$title
  text <- gsub(paste0(normalizePath(articles), "/"), "", readLines(page), fixed = TRUE)
  # The page becomes NAME/index.html. MkDocs adapts links of Markdown, but not those of HTML.
  text <- gsub('<img src="', '<img src="../', text, fixed = TRUE)
  writeLines(c(paste("#", title), "", text), page)
}
