# Two commands for newcomers: `make demo` and `make test`. The rest is for those who change the code.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.installed

.PHONY: demo test test-fast lint check bench wheel clean

$(READY): pyproject.toml rsspade/__init__.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "RS-SPADE needs Python 3.11 or newer, found $$($(PYTHON) --version). Name another: make PYTHON=python3.12"; exit 2; }
	@echo "Installing into $(VENV) (once; PyTorch is large, this takes some minutes) …"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(READY)          ## the main job, end to end, on the built-in world
	@$(BIN)/python -m experiments.demo --out demo

test: $(READY)          ## all tests
	$(BIN)/python -m pytest

test-fast: $(READY)     ## the tests that take less than about ten seconds each
	$(BIN)/python -m pytest -m 'not slow'

lint: $(READY)          ## style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test        ## what CI runs

bench: $(READY)         ## speed and memory, each as a ratio within one run
	$(BIN)/python -m experiments.speed

wheel: $(READY)         ## build the wheel, install it into an empty environment, make a small world there
	rm -rf dist build/wheel-env
	$(BIN)/python -m build --wheel --outdir dist
	$(PYTHON) -m venv build/wheel-env
	build/wheel-env/bin/python -m pip install --quiet --disable-pip-version-check dist/*.whl
	rm -rf build/wheel-world && cd build && wheel-env/bin/rsspade world wheel-world --scenes 1 --tile-size 64 --scene-size 128
	cd build && wheel-env/bin/rsspade check wheel-world

clean:
	rm -rf $(VENV) demo build dist *.egg-info
