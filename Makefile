# `make demo` and `make test` are all that a new user needs: each makes .venv, installs what it needs and runs.
# They share one environment; what is installed is installed again only when pyproject.toml or constraints.txt changes.

VENV ?= .venv
REPORT ?= report
PYTEST_OPTIONS ?=

# The demo's run: change it here, it stands nowhere else.
DEMO_RUN = run examples/slides --slides-csv examples/slides/slides.csv --out $(REPORT) --overwrite

# The first Python on the path that is new enough. Asked only where there is no environment yet.
find_python = for name in python3.11 python3 python3.12 python3.13 python3.14; do \
	if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then command -v "$$name"; break; fi; done

# Those that need no argument; plain_script.py and watching.py are used by the others.
BENCHMARKS = startup coverage slide_readers scoring overlays explanations throughput memory large_smear comparing

BIN = $(VENV)/bin
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.DEFAULT_GOAL := help
.NOTPARALLEL: # two pips must not meet in one environment
.DELETE_ON_ERROR: # an environment that could not be made whole is made anew
.PHONY: help demo test test-slow test-all lint types check bench constraints clean

help: ## say what can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /make \1\t/' | expand -t 20

demo: $(VENV)/installed-run ## scan the example slides and say where the report is
	$(BIN)/smearscan $(DEMO_RUN)
	@echo "The report is in $(abspath $(REPORT)); summary.csv has one row a slide."

test: $(VENV)/installed-test ## run the tests that take seconds
	$(BIN)/python -m pytest -m "not slow" $(PYTEST_OPTIONS)

test-slow: $(VENV)/installed-test ## run the tests that take minutes
	$(BIN)/python -m pytest -m slow $(PYTEST_OPTIONS)

test-all: $(VENV)/installed-test ## run every test
	$(BIN)/python -m pytest $(PYTEST_OPTIONS)

lint: $(VENV)/installed-dev ## ruff: format and rules
	$(BIN)/ruff format --check
	$(BIN)/ruff check

types: $(VENV)/installed-dev ## mypy, strict
	$(BIN)/mypy

check: lint types test ## what a change must pass before it is committed

bench: $(VENV)/installed-run ## measure speed, memory, coverage and detection: most of an hour
	@for name in $(BENCHMARKS); do echo "== benchmarks/$$name.py"; $(BIN)/python "benchmarks/$$name.py" || exit 1; done
	@if [ -n "$$SMEARSCAN_DATA" ]; then echo "== benchmarks/detection.py"; $(BIN)/python benchmarks/detection.py --data "$$SMEARSCAN_DATA"; \
		else echo "benchmarks/detection.py needs real images: set SMEARSCAN_DATA to their folder."; fi

constraints: ## write constraints.txt anew, from the newest releases that pyproject.toml allows
	rm -rf build/newest && $(MAKE) --no-print-directory VENV=build/newest build/newest/bin/python
	build/newest/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	sed -n '/^#/p' constraints.txt > build/constraints.txt
	build/newest/bin/python -m pip freeze --all --exclude-editable --exclude pip >> build/constraints.txt
	mv build/constraints.txt constraints.txt && rm -rf build/newest

clean: ## remove the environment and what the tools left
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@python="$(PYTHON)"; [ -n "$$python" ] || python=$$($(find_python)); \
	if [ -z "$$python" ] || ! "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		echo "smearscan needs Python 3.11 or newer; $${python:-what is on the path} is not. Install one, or name it: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; \
		exit 1; \
	fi; \
	echo "Making $(VENV) with $$python." && "$$python" -m venv $(VENV)

# A stamp is written only after pip has finished, so that an install that was cut off is done again.
$(VENV)/installed-run: EXTRA =
$(VENV)/installed-test: EXTRA = [test]
$(VENV)/installed-dev: EXTRA = [dev]
$(VENV)/installed-%: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing smearscan$(EXTRA) into $(VENV): some minutes and several gigabytes the first time, most of it torch."
	$(PIP_INSTALL) --editable '.$(EXTRA)'
	@touch $@
