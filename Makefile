# Two commands set everything up on a fresh Debian or Ubuntu with Python 3.10 or newer, a compiler and make:
#   make demo   builds the sample projects and shows them working
#   make test   installs what the tests need and passes them

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-slow lint bench clean

demo:
	$(PYTHON) sample_project/demo.py

test: $(VENV)/ready tests/.tools lint
	$(BIN)/python -m pytest -n 2 -m "not slow" --cov --cov-report=term:skip-covered

test-slow: $(VENV)/ready tests/.tools
	$(BIN)/python -m pytest -n 2 -m slow

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --group test -e ".[cli,deflate,mesonpy,setuptools,x86,zstd]"
	touch $@

# Installs what is missing and nothing else, so that a machine that has the tools needs no root.
tests/.tools: tests/apt-packages.txt tests/install-tools
	tests/install-tools
	touch $@

# Everything against its peers, in one run; peers come from the package index. Writes benchmarks/RESULTS.md.
bench: $(VENV)/ready
	$(BIN)/python -m benchmarks $(BENCH)

clean:
	rm -rf $(VENV) tests/.tools .cache build dist
