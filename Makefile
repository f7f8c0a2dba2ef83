# Everything runs in a virtual environment that is made on first use: VENV=other chooses another place for it.
VENV ?= .venv
PYTHON ?= python3
BIN = $(VENV)/bin

.PHONY: demo test check lint bench generate course-report wheel release-notes release-check

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

# The same commit and the same hatchling give the same bytes.
wheel: $(VENV)/ready
	rm -rf dist
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m build --no-isolation

# What the next release's notes will be.
release-notes: $(VENV)/ready
	$(BIN)/towncrier build --draft

# Whether this commit can be released; leaves what is to be uploaded in dist/: docs/releasing.md.
release-check: $(VENV)/ready
	$(BIN)/python -m tests.release
	$(BIN)/python -m pytest tests/unit/test_packaging.py tests/unit/test_distribution.py tests/unit/test_release.py tests/docs
	$(MAKE) wheel
	$(BIN)/python -m twine check --strict dist/*

$(VENV)/ready: pyproject.toml hatch_build.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@
