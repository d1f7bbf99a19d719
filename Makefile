# Needs Python 3.11 or newer, make and git; everything else is installed into .venv from the lock.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -qq

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test bench lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

demo: $(READY) ## See it work: the server, a client and a cache, without a network
	@$(BIN)/context7-fabric demo

test: $(READY) ## Run every check: lint, format, types, import contracts, tests with coverage
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest --hypothesis-profile=ci --cov --cov-report=term

bench: $(READY) ## Measure: every tests/bench/bench_*.py prints its numbers
	@for file in tests/bench/bench_*.py; do \
		[ -e "$$file" ] || { echo "No benchmark in tests/bench."; break; }; \
		echo "== $$file"; PYTHONPATH=tests $(BIN)/python "$$file" || exit 1; \
	done

lock: $(READY) ## Remake requirements.txt; UPGRADE=1 moves every pin to its newest version
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 \
		--generate-hashes --no-header --quiet $(if $(UPGRADE),--upgrade) --output-file requirements.txt

clean: ## Remove .venv, caches and build results
	rm -rf $(VENV) dist .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache \
		.pytest_cache .ruff_cache
	find server tests -type d -name __pycache__ -prune -exec rm -rf {} +

# forbiddenfruit (a test dependency) is published as source only: setuptools is taken from the lock
# first and builds it, because pip's own build environment would be filled without hashes.
$(READY): requirements.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not there: Python 3.11 or newer is needed" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo \
		"Python 3.11 or newer is needed, and $(PYTHON) is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo \
		"$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing the locked dependencies into $(VENV) (once; up to a minute)"
	@$(PYTHON) -m venv $(VENV)
	@sed -n '/^setuptools==/,/^ *#/p' requirements.txt > $(VENV)/setuptools.txt
	@$(PIP) install --require-hashes --no-deps -r $(VENV)/setuptools.txt
	@$(PIP) install --require-hashes --no-build-isolation -r requirements.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@
