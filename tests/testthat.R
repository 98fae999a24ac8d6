library(testthat)
library(kerascheckpoint)

test_check("kerascheckpoint")
