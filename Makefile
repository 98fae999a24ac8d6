# Everything this repository can do, as `make` commands; `make help` lists them.
# Each one first sets up what it needs and is missing (tools/setup), so a fresh clone needs nothing else.
# PYTHON=/path/to/python3 names the Python to build .venv/ on; by default the first one that fits.

.DEFAULT_GOAL := help
.NOTPARALLEL:

VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin

# The same environment for every command: our own libraries first, nothing read from or written to HOME.
export R_LIBS := $(CURDIR)/.Rlibrary$(if $(R_LIBS),:$(R_LIBS))
export RETICULATE_PYTHON := $(BIN)/python
export KERAS_HOME := $(VENV)/keras
export TF_CPP_MIN_LOG_LEVEL ?= 3
export TF_ENABLE_ONEDNN_OPTS ?= 0
export LC_ALL ?= C.UTF-8

.PHONY: help
help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

.PHONY: example
example: setup ## run the help page's example in R: train, save, list, load
	@Rscript examples/model_checkpoint.R

.PHONY: test
test: lint test-python test-r check ## everything that must pass

.PHONY: lint
lint: setup ## style and types: ruff, mypy, lintr
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy --strict python/kerascheckpoint
	Rscript tools/lint.R

.PHONY: test-python
test-python: setup ## pytest on every Keras backend there is
	tools/pytest-backends

.PHONY: test-r
test-r: setup ## testthat
	Rscript tools/testthat.R

.PHONY: check
check: setup ## R CMD build and R CMD check --as-cran
	tools/check-package

.PHONY: bench
bench: ## measure saving against Keras' and Orbax' callbacks
	tools/setup bench
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/listing.py

.PHONY: faults
faults: setup ## kill, starve and damage saves, many times over
	$(BIN)/python benchmarks/faults.py

.PHONY: document
document: ## write NAMESPACE and man/ from the R sources
	tools/setup document
	Rscript -e 'roxygen2::roxygenise(load_code = "source")'

.PHONY: setup
setup: ## install what is missing
	@tools/setup

.PHONY: clean
clean: ## remove all that the commands above made
	rm -rf .venv .Rlibrary .pytest_cache .mypy_cache .ruff_cache build dist *.egg-info python/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
