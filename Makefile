# Two commands for newcomers: `make demo` and `make test`. The rest is for those who change the code.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.installed

.PHONY: demo test test-fast check bench clean

$(READY): pyproject.toml rsspade/__init__.py
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "RS-SPADE needs Python 3.11 or newer; found $$($(PYTHON) --version). Set PYTHON=python3.12, say."; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --progress-bar off -e '.[dev]'
	touch $@

demo: $(READY)          ## the main job, end to end, on the built-in world
	$(BIN)/python -m rsspade.demo --out demo

test: $(READY)          ## all tests
	$(BIN)/python -m pytest

test-fast: $(READY)     ## the tests that take less than about ten seconds each
	$(BIN)/python -m pytest -m 'not slow'

check: $(READY)         ## what CI runs: lint, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)         ## speed and memory, each as a ratio within one run
	$(BIN)/python -m experiments.bench

clean:
	rm -rf $(VENV) demo build dist *.egg-info
