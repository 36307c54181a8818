# Everything a newcomer or a developer does here, by name. `make` alone lists it.
.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.ready

.PHONY: help serve demo test check format types lint docs bench clean

help: ## What there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Catena needs Python 3.11 or newer: set PYTHON=/path/to/python3"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[dev]'
	@touch $@

serve: $(STAMP) ## The server on 127.0.0.1:8080 with the embedded model
	@$(BIN)/catena serve $(ARGS)

demo: $(STAMP) ## Watch a model remember: the whole tour, on a free port, with no key
	@$(BIN)/python -m catena.demo $(ARGS)

test: $(STAMP) ## All tests, in parallel
	@$(BIN)/python -m pytest -n auto --dist worksteal -q $(ARGS)

check: format lint types docs ## Format, lint, types, docs

format: $(STAMP)
	@$(BIN)/ruff format --check .

lint: $(STAMP)
	@$(BIN)/ruff check .

types: $(STAMP)
	@$(BIN)/mypy

docs: $(STAMP)
	@$(BIN)/python -m pytest -q tests/docs -n 0

bench: $(STAMP) ## Speed, as ratios within one run
	@$(BIN)/python -m bench $(ARGS)

clean: ## Remove what the targets made
	rm -rf .venv .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis
