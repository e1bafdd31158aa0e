# Two commands for a newcomer: `make quickstart` and `make test`. Everything lives in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
SOURCES := pyproject.toml requirements/dev.lock

.PHONY: help quickstart test test-all lint docs docs-serve wheel clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ —/'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(STAMP): $(SOURCES) | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check -c requirements/dev.lock -e '.[train,eval,demo]'
	@touch $@

$(DEV_STAMP): $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check -c requirements/dev.lock -e '.[train,eval,demo,export,asr,rooms,live]' -r requirements/dev.txt
	@touch $@

quickstart: $(STAMP)  ## corpus → teacher → student → distilled student → scores → a page to look at and listen to
	$(BIN)/stillwave quickstart -o quickstart

test: $(DEV_STAMP)  ## the tests that every change must pass (a few minutes)
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered --cov-fail-under=90

test-all: $(DEV_STAMP)  ## the slow ones too: run before a release
	$(BIN)/python -m pytest -m ''

lint: $(DEV_STAMP)  ## ruff and a strict type checker
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(DEV_STAMP)  ## build the site into site/, refusing warnings
	$(BIN)/mkdocs build --strict --quiet

docs-serve: $(DEV_STAMP)  ## the site on http://127.0.0.1:8000, rebuilt as you write
	$(BIN)/mkdocs serve

wheel: $(DEV_STAMP)  ## build dist/*.whl
	$(BIN)/python -m build --wheel --no-isolation

clean:  ## remove what was built (not runs)
	rm -rf build dist site .mypy_cache .ruff_cache .pytest_cache .coverage*
