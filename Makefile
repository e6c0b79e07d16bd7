# variate: what a developer runs. `make` alone lists it.
#
# Needs GNU make and Python 3.11 or newer. Another interpreter: make setup PYTHON=python3.13

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
WHAT ?= table
PYTEST ?=
TESTS := $(BIN)/python -m pytest --quiet --numprocesses auto --maxprocesses 4 --dist loadfile

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.SUFFIXES:
.PHONY: help setup demo test quick check format bench clean

# One line for a stage that passes; everything it said for one that fails.
define stage
@printf '%-10s' '$(1)'; \
if said=$$($(2) </dev/null 2>&1); then echo 'ok'; \
else echo 'failed'; printf '%s\n' "$$said"; exit 1; fi
endef

help: ## list the targets
	@awk -F':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## make the development environment in .venv (does nothing when nothing changed)

demo: setup ## train on real data, show what the model can do, write a report and a model file
	@$(BIN)/variate demo $(WHAT)

test: setup check ## everything that must hold: lint, types, import contract, tests, doctests, docs
	@$(TESTS) $(PYTEST)

quick: setup ## the tests that take no more than a few seconds each
	@$(TESTS) -m 'not slow' $(PYTEST)

check: setup ## lint, format, types and the import contract
	$(call stage,lint,$(BIN)/ruff check .)
	$(call stage,format,$(BIN)/ruff format --check .)
	$(call stage,types,$(BIN)/mypy)
	$(call stage,imports,$(BIN)/lint-imports --no-cache)

format: setup ## format the code and mend what the linter can mend
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

bench: setup ## list the benchmarks and how to run one
	@echo 'Each prints its figures as ratios measured in one run:'
	@for file in benchmarks/*.py; do [ ! -e "$$file" ] || echo "  $(BIN)/python $$file"; done

clean: ## remove the environment and everything that was built
	rm -rf $(VENV) dist build demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks -type d -name __pycache__ -prune -exec rm -rf {} +

# The editable install and its pinned dependencies; the stamp says that they are in place.
$(READY): pyproject.toml constraints.txt $(BIN)/python
	@echo 'setup     installing variate and its development tools into $(VENV)'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null
	@$(BIN)/python -m pip install -qq --no-input --disable-pip-version-check \
	  --constraint constraints.txt --editable '.[dev]' </dev/null
	@touch $(READY)
	@echo 'setup     done'

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "setup: there is no '$(PYTHON)' on the PATH. Install Python 3.11 or newer," \
	    "or name one: make setup PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "setup: '$(PYTHON)' is $$($(PYTHON) --version 2>&1); variate needs Python 3.11 or newer." \
	    "Name one: make setup PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "setup: '$(PYTHON)' cannot make virtual environments (venv or ensurepip is missing)." \
	    "On Debian and Ubuntu: sudo apt install python3-venv" >&2; exit 1; }
	@echo "setup     making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear $(VENV)
