# Everything runs in a virtual environment that is made on first use: VENV=other chooses another place for it.
VENV ?= .venv
PYTHON ?= python3
BIN = $(VENV)/bin

.PHONY: demo test check lint bench generate course-report wheel

# The main job: a workspace made, a module completed (with the reference solution), the status shown.
demo: $(VENV)/ready
	rm -rf build/demo && mkdir -p build
	$(BIN)/tito init build/demo --format py
	cp templates/modules/01_tensor/01_tensor.py build/demo/modules/01_tensor/
	cd build/demo && "$(abspath $(BIN))/tito" module complete 01
	cd build/demo && "$(abspath $(BIN))/tito" status

test: $(VENV)/ready
	$(BIN)/python -m pytest -n auto --random-order

# What CI runs.
check: lint test

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/mypy

# The figures of docs/performance.md, measured on this machine.
bench: $(VENV)/ready
	$(BIN)/python -m tests.benchmarks

# What is derived from the course and kept in files.
generate: $(VENV)/ready
	$(BIN)/python -m tests.generate

# What proves the course's tests good, in full: docs/course-tests.md.
course-report: $(VENV)/ready
	$(BIN)/python -m tests.course.report

wheel: $(VENV)/ready
	$(BIN)/python -m build

$(VENV)/ready: pyproject.toml hatch_build.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@
