# Everything a newcomer or a developer does here, by name. `make` alone lists it.
.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= python3
BIN := .venv/bin
RUN := .venv/.ready
DEV := .venv/.ready-to-develop
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: help serve demo test check format types lint docs help-texts compatibility crash crash-replicas fuzz examples costs counts bench bench-day bench-rivals clean

help: ## What there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Catena needs Python 3.11 or newer: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -m venv .venv

$(RUN): pyproject.toml | $(BIN)/python
	@echo "Setting up .venv (once) …"
	@$(PIP) --editable '.[client,embedded]'
	@touch $@

$(DEV): pyproject.toml | $(BIN)/python
	@echo "Setting up .venv with the tools of development (once) …"
	@$(PIP) --editable '.[dev]'
	@touch $@ $(RUN)

serve: $(RUN) ## The server on 127.0.0.1:8080 with the embedded model
	@exec $(BIN)/catena serve $(ARGS)

demo: $(RUN) ## Watch a model remember: the whole tour, on a free port, with no key
	@$(BIN)/python -m catena.demo $(ARGS)

test: $(DEV) ## All tests, in parallel, with the embedded model (fetched once)
	@$(BIN)/catena model pull || test -z "$$CI"
	@CATENA_REQUIRE_MODEL=$${CI:+1} $(BIN)/python -m pytest -n auto --dist worksteal -q $(ARGS)

check: format lint types docs costs ## Format, lint, types, docs, and that nothing costs more than it did

format: $(DEV)
	@$(BIN)/ruff format --check .

lint: $(DEV)
	@$(BIN)/ruff check .

types: $(DEV)
	@$(BIN)/mypy

docs: $(DEV)
	@$(BIN)/python -m pytest -q tests/docs -n 0

help-texts: $(DEV) ## Write the help texts of docs/cli.md anew
	@$(BIN)/python -m tests.docs.cli_help

compatibility: $(DEV) ## Write the tables of docs/compatibility.md anew, from the code and the SDK
	@$(BIN)/python -m tests.conformance.page

crash: $(DEV) ## Kill a server under load, thirty times, and check what it told
	@$(BIN)/python -m tests.crash --kills 30 $(ARGS)

crash-replicas: $(DEV) ## The same with three servers on one PostgreSQL: they die and freeze, and so does that
	@$(BIN)/python -m tests.crash --disasters 30 $(ARGS)

examples: $(DEV) ## Real clients, unmodified, against a server (each installed once)
	@$(BIN)/python -m examples.clients $(ARGS)

fuzz: $(DEV) ## 20,000 made-up cases for every endpoint of the published document
	@$(BIN)/python -m tests.fuzz $(ARGS)

costs: $(DEV)
	@$(BIN)/python -m bench.counts --check

counts: $(DEV) ## Renew the counts of what the hot paths cost, where that may have grown
	@$(BIN)/python -m bench.counts --write

bench: $(DEV) ## Speed, as ratios within one run, in one table; ARGS='--only W3' picks rows
	@$(BIN)/python -m bench $(ARGS)

bench-day: $(DEV) ## A day in the life of a server, in ten minutes: whether anything grows
	@$(BIN)/python -m bench day $(ARGS)

bench-rivals: $(DEV) ## The same beside other servers, each in an environment of its own
	@$(BIN)/python -m bench.rivals $(ARGS)

clean: ## Remove what the targets made
	rm -rf .venv .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis
