# Each target builds .venv by itself when that is needed: with uv when it is on the PATH, else with venv and pip.
# Everything is installed from the lock files, with hashes.

.DEFAULT_GOAL := help
SHELL := /bin/sh

PYTHON ?=
UV := $(shell command -v uv 2>/dev/null)
BIN := .venv/bin
RUNTIME := .venv/.runtime-installed
DEV := .venv/.dev-installed
CLIENTS := .venv/.clients-installed
DOCS := .venv/.docs-installed
INPUTS := pyproject.toml drio_mcp/__init__.py

ifdef UV
INSTALL := VIRTUAL_ENV=.venv $(UV) pip install --quiet --compile-bytecode
else
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --compile
endif

.PHONY: help install serve test test-all chromium pgbouncer check format lock bench docs clean

help: ## Say what each target does
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

install: $(RUNTIME) ## Build .venv with the command .venv/bin/drio-mcp

serve: $(RUNTIME) ## Start on http://127.0.0.1:8000
	@exec $(BIN)/drio-mcp serve

test: $(DEV) ## Run the tests that need nothing but Python
	$(BIN)/pytest -n auto --dist worksteal -m "not slow"

test-all: $(CLIENTS) chromium pgbouncer ## Run every test, also those that need Node or a browser
	$(BIN)/pytest -n auto --dist worksteal

check: $(DEV) ## Check form, faults, types and the direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEV) ## Put the code into form, and repair what can be repaired
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: ## Write the lock files anew from pyproject.toml (needs uv)
	$(UV) pip compile $(LOCK_OPTIONS) --extra postgres --group build -o requirements.lock pyproject.toml
	$(UV) pip compile $(LOCK_OPTIONS) --extra postgres --group build --group dev -c requirements.lock \
		-o requirements-dev.lock pyproject.toml
	$(UV) pip compile $(LOCK_OPTIONS) --group clients -c requirements-dev.lock -o requirements-clients.lock pyproject.toml
	$(UV) pip compile $(LOCK_OPTIONS) --group docs -c requirements-dev.lock -o requirements-docs.lock

LOCK_OPTIONS := --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links

bench: $(DEV) ## Measure, side by side with the SDK's own example server; BENCH=--quick in two minutes
	$(BIN)/python -m bench --all $(BENCH)

docs: $(DOCS) ## Build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean: ## Remove what these targets built
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist

.venv/pyvenv.cfg:
ifdef UV
	@$(UV) venv --quiet --allow-existing --python "$(or $(PYTHON),>=3.11)" .venv
else
	@for python in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11); do \
		if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			exec "$$python" -m venv .venv; \
		fi; \
	done; \
	echo "drio-mcp needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3" >&2; exit 1
endif

$(RUNTIME): .venv/pyvenv.cfg requirements.lock $(INPUTS)
	@echo "Installing drio-mcp into .venv …"
	@$(INSTALL) --require-hashes -r requirements.lock
	@$(INSTALL) --no-deps --no-index --no-build-isolation -e .
	@$(BIN)/python -m compileall -q drio_mcp
	@touch $@

$(DEV): .venv/pyvenv.cfg requirements-dev.lock $(INPUTS)
	@echo "Installing drio-mcp and its development tools into .venv …"
	@$(INSTALL) --require-hashes -r requirements-dev.lock
	@$(INSTALL) --no-deps --no-index --no-build-isolation -e .
	@$(BIN)/python -m compileall -q drio_mcp
	@touch $(RUNTIME) $@

$(CLIENTS): $(DEV) requirements-clients.lock
	@echo "Installing Node and the clients that the slow tests drive …"
	@$(INSTALL) --require-hashes -r requirements-clients.lock
	@touch $@

# The browser that tests/browser drives is the system's. Where it is missing, and may be installed, it is.
chromium:
	@for browser in chromium chromium-browser google-chrome chrome; do \
		if command -v $$browser >/dev/null; then exit 0; fi; \
	done; \
	if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		echo "Installing Chromium …"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends -y chromium; \
	fi

# The pooler that tests/store/test_pooler.py puts before PostgreSQL.
pgbouncer:
	@if ! command -v pgbouncer >/dev/null && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		echo "Installing PgBouncer …"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends -y pgbouncer; \
	fi

$(DOCS): $(DEV) requirements-docs.lock
	@$(INSTALL) --require-hashes -r requirements-docs.lock
	@touch $@
