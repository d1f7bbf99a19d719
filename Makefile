# Needs Python 3.11 or newer, make and git; everything else is installed into .venv from the locks,
# by uv where there is one (`make UV= …` takes pip all the same).
PYTHON ?= python3
UV := $(shell uv --version >/dev/null 2>&1 && command -v uv)
VENV := .venv
BIN := $(VENV)/bin
LOCKED := $(VENV)/.locked
READY := $(VENV)/.ready
DEV_READY := $(VENV)/.ready-dev
BENCH_READY := $(VENV)/.ready-bench
COMPILE = $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header \
	--quiet $(if $(UPGRADE),--upgrade)
# Twice as many workers as the two cores that we count on: tests also wait, for time-outs above all.
PYTEST := $(BIN)/python -m pytest -n 4 --dist worksteal
BENCHES := tokens outage registry_load registry_scale fabric records peers http_calls replicas \
	growth
# What tests/bench/peers.py measures beside us, in an environment of its own; the constraints keep
# what both need, such as the SDK, at one version.
PEERS := fastmcp>=4.1,<5
PEERS_VENV := .venv-peers
PEERS_READY := $(PEERS_VENV)/.ready

# An environment decides where packages come from, not which they are, where they go and who runs.
unexport PYTHONHOME PYTHONPATH PYTHONDONTWRITEBYTECODE VIRTUAL_ENV CONDA_PREFIX
unexport PIP_ABI PIP_BUILD_CONSTRAINT PIP_CONSTRAINT PIP_DRY_RUN PIP_EDITABLE PIP_IMPLEMENTATION \
	PIP_NO_BINARY PIP_ONLY_BINARY PIP_PLATFORM PIP_PREFIX PIP_PYTHON PIP_PYTHON_VERSION \
	PIP_REQUIRE_HASHES PIP_REQUIREMENT PIP_ROOT PIP_TARGET PIP_UPLOADED_PRIOR_TO PIP_USER
unexport UV_BUILD_CONSTRAINT UV_CONSTRAINT UV_EXCLUDE UV_EXCLUDE_NEWER UV_NO_BINARY UV_NO_BUILD \
	UV_NO_VERIFY_HASHES UV_OVERRIDE UV_PYTHON UV_REQUIRE_HASHES UV_SYSTEM_PYTHON

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-daemon test-long clients coverage bench lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

demo: $(READY) ## Demonstrate the server, a client and the cache, without a network
	@$(BIN)/context7-fabric demo

test: $(DEV_READY) ## Run every check: lint, format, types, import contracts, tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	@echo "$(BIN)/mypy (its report follows that of the tests)"; \
	$(BIN)/mypy > $(VENV)/.types 2>&1 & types=$$!; \
	$(PYTEST) -m "not long" --hypothesis-profile=ci; tests=$$?; \
	wait $$types; types=$$?; cat $(VENV)/.types; exit $$((tests || types))

test-daemon: $(DEV_READY) ## Run the tests of windows on stdio again, through a daemon
	TEST_DAEMON=auto $(PYTEST) tests/integration -m "either_mode and not long"

test-long: $(DEV_READY) ## Run the tests that `make test` leaves out because they take minutes
	$(PYTEST) tests/integration -m long

# A file of checks is named, as pytest finds none by its name: they install 1.5 GB from npm.
clients: $(DEV_READY) ## Run the real clients against the files that `setup` writes (needs npm)
	$(BIN)/python -m pytest tests/clients/check_clients.py

coverage: $(DEV_READY) ## Run all tests with coverage, which must not fall below its limit
	$(PYTEST) tests/integration --cov --cov-report= --cov-fail-under=0
	$(PYTEST) --ignore=tests/integration --cov --cov-append --cov-report=term

bench: $(BENCH_READY) $(PEERS_READY) ## Run the benchmarks of tests/bench (soak.py, half an hour, by name)
	@failed=; for name in $(BENCHES); do \
		echo "== tests/bench/$$name.py"; \
		PYTHONPATH=tests $(BIN)/python tests/bench/$$name.py || failed="$$failed $$name"; \
	done; [ -z "$$failed" ] || { echo "Failed:$$failed" >&2; exit 1; }

lock: $(DEV_READY) ## Rewrite the locks; UPGRADE=1 moves every pin to its newest version
	$(COMPILE) pyproject.toml --extra telemetry --group build --group dev \
		--output-file requirements-dev.txt
	$(COMPILE) pyproject.toml --extra telemetry --group build \
		--constraints requirements-dev.txt --output-file requirements.txt
	$(COMPILE) --group bench --constraints requirements-dev.txt --output-file requirements-bench.txt
	echo '$(PEERS)' | $(COMPILE) - --constraints requirements-dev.txt \
		--output-file requirements-peers.txt

clean: ## Remove .venv and .venv-peers, caches and build results
	rm -rf $(VENV) $(PEERS_VENV) dist .coverage .coverage.* .hypothesis .import_linter_cache \
		.mypy_cache .pytest_cache .ruff_cache
	find server tests -type d -name __pycache__ -prune -exec rm -rf {} +

# $(call make_venv,FOLDER): an empty environment; what was there may be half of one, or stale.
define make_venv
@rm -rf $(1)
@$(if $(UV),"$(UV)" venv --quiet --python "$$(command -v "$(PYTHON)")" $(1),"$(PYTHON)" -m venv $(1))
endef

# $(call install,FOLDER): the command that installs into an environment. No index is asked what a
# package depends on (a lock is complete, and a newer release elsewhere changes nothing), and what
# is published as source is built with what is locked, because no hash holds a build environment.
install = $(if $(UV),"$(UV)" pip install --quiet --python $(1)/bin/python,$(call pip,$(1)) install -qq) \
	--no-deps --no-build-isolation
check = said=$$($(if $(UV),"$(UV)" pip check --python $(1)/bin/python,$(call pip,$(1)) check) 2>&1) \
	|| { echo "$$said" >&2; exit 1; }
pip = $(1)/bin/python -I -m pip --disable-pip-version-check --no-input

# An environment whose Python is gone, or that was moved, is made anew.
ifneq ($(shell $(BIN)/python -I -c 'print(open("$(LOCKED)").read())' 2>/dev/null),$(CURDIR))
.PHONY: $(LOCKED)
endif
# The setuptools that comes with Python 3.11 is in no lock.
$(LOCKED): requirements.txt
	@command -v "$(PYTHON)" >/dev/null || { echo "$(PYTHON) is not there: Python 3.11 or newer is needed" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo \
		"Python 3.11 or newer is needed, and $(PYTHON) is $$("$(PYTHON)" -V 2>&1). Try: make PYTHON=python3.11" >&2; exit 1; }
	@$(if $(UV),:,"$(PYTHON)" -c 'import ensurepip, venv') 2>/dev/null || { echo \
		"$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing the locked dependencies into $(VENV) (once; up to a minute)"
	$(call make_venv,$(VENV))
	@$(if $(UV),:,$(call pip,$(VENV)) uninstall -qq --yes setuptools 2>/dev/null || :)
	@$(call install,$(VENV)) $(if $(UV),,--no-compile) --require-hashes -r requirements.txt
	@printf %s "$(CURDIR)" > $@

# All of it is imported once: a package that the lock lacks is noticed here, and what is imported
# (a quarter of what is installed) is compiled.
$(READY): $(LOCKED) pyproject.toml
	@$(call install,$(VENV)) -e .
	@$(call check,$(VENV))
	@ORT_DISABLE_TELEMETRY=1 $(BIN)/python -I -c "import importlib, pkgutil, context7_fabric as ours; \
		[importlib.import_module(each.name) \
		for each in pkgutil.walk_packages(ours.__path__, ours.__name__ + '.')]"
	@touch $@

# setuptools goes first: it builds forbiddenfruit, which is published as source only. The environment
# is begun anew if packages of another lock are in it.
$(DEV_READY): requirements-dev.txt $(LOCKED) | $(READY)
	@if [ -e $(VENV)/.dev ]; then rm -rf $(VENV) && $(MAKE) $(READY); fi
	@touch $(VENV)/.dev
	@echo "Installing what the checks need into $(VENV) (once; up to a minute)"
	@$(if $(UV),:,$(BIN)/python -c 'import pip' 2>/dev/null || $(BIN)/python -I -m ensurepip >/dev/null)
	@sed -n '/^setuptools==/,/^ *#/p' requirements-dev.txt > $(VENV)/setuptools.txt
	@$(call install,$(VENV)) --require-hashes -r $(VENV)/setuptools.txt
	@$(call install,$(VENV)) --require-hashes -r requirements-dev.txt
	@$(call check,$(VENV))
	@touch $@

$(BENCH_READY): $(DEV_READY) requirements-bench.txt
	@$(call install,$(VENV)) --require-hashes -r requirements-bench.txt
	@$(call check,$(VENV))
	@touch $@

$(PEERS_READY): requirements-peers.txt | $(DEV_READY)
	@echo "Installing the peers into $(PEERS_VENV) (once; up to a minute)"
	$(call make_venv,$(PEERS_VENV))
	@$(call install,$(PEERS_VENV)) --require-hashes -r requirements-peers.txt
	@$(call check,$(PEERS_VENV))
	@touch $@
