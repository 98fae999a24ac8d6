# Everything this repository can do, as `make` commands; `make help` lists them.
# Each one first sets up what it needs and is missing (tools/setup), so a fresh clone needs nothing else.
# PYTHON=/path/to/python3 names the Python to build .venv/ on; by default the first one that fits.

.DEFAULT_GOAL := help

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

# R's tests and checks keep one core busy beside the Python tests. Each one's output comes when it has ended.
.PHONY: test
test: setup-test ## everything that must pass
	@$(MAKE) --no-print-directory --jobs=2 --keep-going --output-sync=target test-python lint test-r check

.PHONY: quick
quick: setup-test ## in under a minute: style, types, and the tests that need no training run
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy --strict python/kerascheckpoint
	$(BIN)/mypy --config-file tools/mypy-tests.ini
	tools/pytest-backends --quick

.PHONY: lint
lint: setup-test ## style and types: ruff, import contracts, mypy, shellcheck, lintr
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy --strict python/kerascheckpoint
	$(BIN)/mypy --config-file tools/mypy-tests.ini
	$(BIN)/shellcheck -x .ci/run tools/system-packages $$(grep -l '^#!.*bash' tools/*)
	Rscript tools/lint.R

.PHONY: test-python
test-python: setup-test ## pytest on every Keras backend there is
	tools/pytest-backends

.PHONY: test-r
test-r: setup-test ## testthat
	Rscript tools/testthat.R

.PHONY: check
check: setup-test ## R CMD build, and R CMD check --as-cran without the tests, which test-r runs
	tools/check-package

.PHONY: coverage
coverage: setup-test ## which lines the Python tests reach, over all backends
	tools/pytest-backends --coverage

.PHONY: bench
bench: ## measure saving against Keras' and Orbax' callbacks
	tools/setup bench
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/sharded.py
	$(BIN)/python benchmarks/listing.py
	$(BIN)/python benchmarks/remote.py
	$(BIN)/python benchmarks/budget.py
	$(BIN)/python benchmarks/gpu.py --if-found

# GPU_PYTHON=python3 names an environment with Keras and the GPU builds of JAX or PyTorch; .venv otherwise.
.PHONY: bench-gpu
bench-gpu: ## measure saving on a GPU, in less than ten minutes; without one, that it runs
	$(if $(GPU_PYTHON),,tools/setup bench)
	$(or $(GPU_PYTHON),$(BIN)/python) benchmarks/gpu.py

.PHONY: faults
faults: setup-test ## kill, starve and damage saves, many times over
	$(BIN)/python benchmarks/faults.py

.PHONY: document
document: ## write NAMESPACE and man/ from the R sources
	tools/setup document
	Rscript -e 'roxygen2::roxygenise(load_code = "source")'

.PHONY: site
site: setup-test ## build one site for both languages into build/site/
	tools/setup site
	tools/site

.PHONY: setup
setup: ## install what is missing for the examples
	@tools/setup

.PHONY: setup-test
setup-test: ## install what is missing for the tests
	@tools/setup test

.PHONY: clean
clean: ## remove all that the commands above made
	rm -rf .venv .Rlibrary .pytest_cache .mypy_cache .ruff_cache build dist *.egg-info python/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
