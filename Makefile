# Needs Python 3.11 or newer, make and git; everything else is installed into .venv from the lock.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -qq
LOCK = $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header \
	--quiet $(if $(UPGRADE),--upgrade)
BENCHES := tokens outage registry_load registry_scale fabric records peers http_calls replicas \
	growth
BENCH_READY := $(VENV)/.ready-bench
# What tests/bench/peers.py measures beside us, in an environment of its own; the constraints keep
# what both need, such as the SDK, at one version.
PEERS := fastmcp>=4.1,<5
PEERS_VENV := .venv-peers
PEERS_READY := $(PEERS_VENV)/.ready

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-daemon bench lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

demo: $(READY) ## See it work: the server, a client and a cache, without a network
	@$(BIN)/context7-fabric demo

test: $(READY) ## Run every check: lint, format, types, import contracts, tests with coverage
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest tests/integration -n 2 --dist loadfile \
		--cov --cov-report= --cov-fail-under=0
	$(BIN)/python -m pytest --ignore=tests/integration --hypothesis-profile=ci \
		--cov --cov-append --cov-report=term

test-daemon: $(READY) ## Run the suites of protocol and processes again, through a daemon
	TEST_DAEMON=auto $(BIN)/python -m pytest tests/integration -n 2 --dist loadfile
	TEST_DAEMON=auto $(BIN)/python -m pytest tests/protocol

bench: $(BENCH_READY) $(PEERS_READY) ## Measure: the programs of tests/bench print numbers and claims (soak.py, half an hour, by name)
	@failed=; for name in $(BENCHES); do \
		echo "== tests/bench/$$name.py"; \
		PYTHONPATH=tests $(BIN)/python tests/bench/$$name.py || failed="$$failed $$name"; \
	done; [ -z "$$failed" ] || { echo "Failed:$$failed" >&2; exit 1; }

lock: $(READY) ## Remake the locks; UPGRADE=1 moves every pin to its newest version
	$(LOCK) pyproject.toml --group dev --output-file requirements.txt
	$(LOCK) --group bench --constraints requirements.txt --output-file requirements-bench.txt
	echo '$(PEERS)' | $(LOCK) - --constraints requirements.txt --output-file requirements-peers.txt

clean: ## Remove .venv and .venv-peers, caches and build results
	rm -rf $(VENV) $(PEERS_VENV) dist .coverage .coverage.* .hypothesis .import_linter_cache \
		.mypy_cache .pytest_cache .ruff_cache
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

$(BENCH_READY): $(READY) requirements-bench.txt
	@$(PIP) install --require-hashes -r requirements-bench.txt
	@touch $@

$(PEERS_READY): requirements-peers.txt | $(READY)
	@echo "Installing the peers into $(PEERS_VENV) (once; up to a minute)"
	@$(PYTHON) -m venv $(PEERS_VENV)
	@$(PEERS_VENV)/bin/python -m pip --disable-pip-version-check --no-input -qq install \
		--require-hashes -r requirements-peers.txt
	@touch $@
