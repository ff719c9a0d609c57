# Two commands for newcomers: `make demo` and `make test`. The rest is for those who change the code.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.installed
WHEEL_ENV ?= build/wheel-env
# A file's tests share what they have trained, so they stay together. Each process holds PyTorch: not one for every core.
PARALLEL  ?= -n auto --maxprocesses 4 --dist loadfile
NEW_ENOUGH = $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "RS-SPADE needs Python 3.11 or newer, found $$($(PYTHON) --version). Name another: make PYTHON=python3.12"; exit 2; }

.PHONY: demo test test-fast lint check bench wheel clean

$(READY): pyproject.toml rsspade/__init__.py
	@$(NEW_ENOUGH)
	@echo "Installing into $(VENV) (once; PyTorch is large, this takes some minutes) …"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(READY)          ## the main job, end to end, on the built-in world
	@$(BIN)/python -m experiments.demo --out demo

test: $(READY)          ## all tests, on up to four cores
	$(BIN)/python -m pytest $(PARALLEL)

test-fast: $(READY)     ## the tests that take less than about ten seconds each
	$(BIN)/python -m pytest $(PARALLEL) -m 'not slow'

lint: $(READY)          ## style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test        ## what CI runs

bench: $(READY)         ## speed and memory, each as a ratio within one run
	$(BIN)/python -m experiments.speed

wheel:                  ## build the wheel, install it into an empty environment, make a small world there and train on it
	@$(NEW_ENOUGH)
	@test ! -e $(WHEEL_ENV) || test $(WHEEL_ENV) = build/wheel-env || { echo "$(WHEEL_ENV) is there already; the wheel is tried in an empty environment. Remove it first."; exit 2; }
	rm -rf dist build/wheel-world build/wheel-run build/wheel-env && mkdir -p build
	$(PYTHON) -m venv $(WHEEL_ENV)
	$(WHEEL_ENV)/bin/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	$(WHEEL_ENV)/bin/python -m pip install --quiet --disable-pip-version-check dist/*.whl
	cd build && $(abspath $(WHEEL_ENV))/bin/rsspade world wheel-world --scenes 3 --tile-size 64 --scene-size 128
	cd build && $(abspath $(WHEEL_ENV))/bin/rsspade check wheel-world
	cd build && $(abspath $(WHEEL_ENV))/bin/accelerate launch --num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no \
	    -m rsspade.training --data wheel-world --out wheel-run --steps 2 --batch_size 2 --generator.base_width 4 --generator.depth 3
	cd build && $(abspath $(WHEEL_ENV))/bin/rsspade evaluate --run wheel-run --data wheel-world

clean:
	rm -rf $(VENV) demo build dist *.egg-info
