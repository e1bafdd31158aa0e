# Two commands for a newcomer: `make quickstart` and `make test`. Everything lives in .venv.
PYTHON ?= python3
# An index of Python packages to take torch from, such as https://download.pytorch.org/whl/cpu. Empty: pip's own.
TORCH_INDEX ?=
# Processes that run tests: auto is one a core, 0 runs them in one (for a debugger).
JOBS ?= auto
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
SOURCES := pyproject.toml requirements/dev.lock
# A module's tests stay in one process, which shares their fixtures; eight processes take 4 GB. In the order of folders, the
# many short modules of src come last, so that no process waits long for another.
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --maxprocesses 8 --dist loadscope --no-loadscope-reorder
PIP_INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check -c requirements/dev.lock

# Tests start Python many times: compile each module once. Their networks are small: more threads wait for each other.
unexport PYTHONDONTWRITEBYTECODE
test test-all coverage: export OMP_NUM_THREADS ?= 1

.PHONY: help quickstart test test-all coverage lint docs docs-serve wheel web-assets plugin clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ —/'
	@echo
	@echo 'TORCH_INDEX=URL — take PyTorch from this index when .venv is made. Without it PyTorch comes from the index that pip'
	@echo '    is set up for; on Linux with PyPI that is the CUDA build, which downloads 2 GB more than the CPU build:'
	@echo '    make quickstart TORCH_INDEX=https://download.pytorch.org/whl/cpu'
	@echo 'JOBS=N — processes that run the tests (a core each by default; 0: none but pytest itself)'
	@echo 'PYTHON=PATH — the Python that .venv is made with'

$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)

$(STAMP): $(SOURCES) | $(BIN)/pip
ifneq ($(strip $(TORCH_INDEX)),)
	$(PIP_INSTALL) --no-deps --index-url '$(strip $(TORCH_INDEX))' torch
endif
	$(PIP_INSTALL) -e '.[train,eval,demo]'
	@touch $@

$(DEV_STAMP): $(STAMP) requirements/dev.txt
	$(PIP_INSTALL) -e '.[train,eval,demo,export,asr,rooms,live,web]' -r requirements/dev.txt
	@touch $@

quickstart: $(STAMP)  ## corpus → student alone → distilled student → scores → a page to look at and listen to
	$(BIN)/stillwave quickstart -o quickstart

test: $(DEV_STAMP)  ## the tests that every change must pass (5 to 8 minutes on two idle cores)
	$(PYTEST)

test-all: $(DEV_STAMP)  ## the slow ones too: run before a release
	$(PYTEST) -m ''

coverage: $(DEV_STAMP)  ## the same tests, and which lines they run: 90 % at least (a quarter slower)
	$(PYTEST) --cov --cov-report=term:skip-covered --cov-fail-under=90

lint: $(DEV_STAMP)  ## ruff and a strict type checker
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(DEV_STAMP)  ## build the site into site/, refusing warnings
	$(BIN)/mkdocs build --strict --quiet

docs-serve: $(DEV_STAMP)  ## the site on http://127.0.0.1:8000, rebuilt as you write
	$(BIN)/mkdocs serve

web-assets:  ## ONNX Runtime Web for the page's in-browser mode, from npm by its lock file; before `make wheel`
	cd packages/stillwave-web && npm ci --no-audit --no-fund --ignore-scripts && npm run --silent assets

plugin: $(STAMP)  ## the LADSPA plug-in for PipeWire and PulseAudio, needs a C compiler; MODEL=NAME or a run folder
	@$(MAKE) --no-print-directory -C packages/stillwave-ladspa PYTHON='$(abspath $(BIN)/python)' \
	    $(if $(MODEL),MODEL='$(if $(wildcard $(MODEL)),$(abspath $(MODEL)),$(MODEL))')

wheel: $(DEV_STAMP)  ## build dist/*.whl
	$(BIN)/python -m build --wheel --no-isolation

clean:  ## remove what was built (not runs)
	rm -rf build dist site .mypy_cache .ruff_cache .pytest_cache .coverage*
