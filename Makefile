# Every command below builds .venv first where it is not there or out of date. Wanted: make and Python 3.13.
.DEFAULT_GOAL := help
.PHONY: help setup demo test check format lint types layers docs requirements audit bench lock simulate simulate-mutants
MAKEFLAGS += --no-builtin-rules

BIN := .venv/bin
READY := .venv/.ready
# Where pyenv manages Pythons, .python-version makes python3 the right one; elsewhere it may be called python3.13.
PYTHON = $(shell for candidate in python3 python3.13; do \
	$$candidate -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null && echo $$candidate && break; done)

help:
	@echo "make demo    see it work, without Azure"
	@echo "make test    run every test"
	@echo "make check   format, lint, types, layers, documentation, requirements, dependencies"
	@echo "make bench   measure; docs/benchmarks.md says what"
	@echo "make simulate SEEDS=10000   run the engine through that many stories in which things go wrong"
	@echo "make simulate-mutants       plant bugs in the engine, and see whether the stories catch them"
	@echo "make lock    compile requirements*.txt from pyproject.toml, keeping the pins that fit"
	@echo "make setup   build .venv and nothing else"

setup: $(READY)

# --no-deps: the file pins everything, and pip check says whether it does. Warnings off: setuptools explains what editable means.
$(READY): requirements-dev.txt pyproject.toml
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null || { \
		test -n "$(PYTHON)" || { echo "Linkguard needs Python 3.13; neither python3 nor python3.13 is one" >&2; exit 1; }; \
		echo "building .venv"; $(PYTHON) -m venv --clear .venv; }
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes --no-deps -r requirements-dev.txt
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m pip check
	@touch $@

demo: $(READY)
	$(BIN)/linkguard demo

test: $(READY)
	$(BIN)/pytest -n auto

bench: $(READY)
	$(BIN)/python -m tests.bench

SEEDS := 10000

simulate: $(READY)
	$(BIN)/python -m tests.simulation run --seeds $(SEEDS) --write

simulate-mutants: $(READY)
	$(BIN)/python -m tests.simulation mutants --write

check: format lint types layers docs requirements audit

format: $(READY)
	$(BIN)/ruff format --check

lint: $(READY)
	$(BIN)/ruff check

types: $(READY)
	$(BIN)/mypy

layers: $(READY)
	$(BIN)/lint-imports --no-logo

docs: $(READY)
	$(BIN)/python -m tools.docs

requirements: $(READY)
	$(BIN)/python -m tools.lock --check

audit: $(READY)
	$(BIN)/python -m tools.audit

# Not $(READY): that wants the pins which this is to find.
lock:
	@test -x $(BIN)/uv || $(MAKE) setup
	$(BIN)/python -m tools.lock
