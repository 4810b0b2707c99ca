# Needs Python 3.11 or newer and make. Everything else is installed into .venv, from the locks.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# Compiled once: without its cache every process compiles the whole project anew.
export PYTHONDONTWRITEBYTECODE :=

PYTHON := .venv/bin/python
SOURCES := config metering allocation billing tests manage.py

.PHONY: help demo serve test test-outside soak check bench lock clean \
  install-base install-dev install-outside

help: ## the targets
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

demo: install-base ## a month of usage from ingest to invoice (USAGE=file BILL=file for your own)
	@$(PYTHON) manage.py demo --out out $(if $(USAGE),--usage '$(USAGE)') \
	  $(if $(BILL),--bill '$(BILL)') $(if $(PROVIDER),--provider '$(PROVIDER)') \
	  $(if $(MAP),--map $(MAP))

serve: install-base ## web, worker and scheduler on localhost, with a login (PORT=8000)
	@exec $(PYTHON) -m config.serve --port '$(or $(PORT),8000)'

test: install-dev ## the test suite
	@$(PYTHON) -m pytest -n 2 --dist worksteal -q -m "not outside"

test-outside: install-outside ## the tests that need the outside's own software
	@requirements/browser.sh
	@$(PYTHON) -m pytest -n 2 --dist loadfile -q -m outside

check: install-dev ## format, lint, types, import rules, migrations
	@.venv/bin/ruff format --check --quiet . && echo "format      ok"
	@.venv/bin/ruff check --quiet . && echo "lint        ok"
	@.venv/bin/mypy --no-error-summary $(SOURCES) && echo "types       ok"
	@.venv/bin/lint-imports --no-logo > .import_linter.log 2>&1 || { cat .import_linter.log; exit 1; }
	@rm -f .import_linter.log && echo "imports     ok"
	@$(PYTHON) manage.py makemigrations --check --dry-run && echo "migrations  ok"
	@$(PYTHON) -m tests.lint_migrations > .roll-out.log 2>&1 || { cat .roll-out.log; exit 1; }
	@rm -f .roll-out.log && echo "roll-out    ok"

soak: install-outside ## what takes long: kills, fuzzing, millions of events (MINUTES=30, SCALE=1)
	@KILLS=$$(( $(or $(MINUTES),30) * 2 )) $(PYTHON) -m pytest -q -m outside \
	  tests/outside/test_once_through_kills.py
	@HYPOTHESIS_PROFILE=soak EXAMPLES=$$(( $(or $(MINUTES),30) * 150 )) $(PYTHON) -m pytest -n 2 -q \
	  -m "not outside" tests/metering/formats tests/metering/providers tests/metering/files \
	  tests/metering/api/test_cloud_events.py tests/scenarios/test_anything_anywhere.py
	@ONLY='ingest.server_memory ingest.filled' SCALE='$(SCALE)' $(PYTHON) -m tests.benchmarks

bench: install-dev ## the benchmarks (ONLY=prefix, SCALE=1)
	@ONLY='$(ONLY)' SCALE='$(SCALE)' $(PYTHON) -m tests.benchmarks

lock: ## resolve requirements/*.in anew (needs uv)
	@for name in base dev outside; do uv pip compile --quiet --universal --generate-hashes --no-annotate \
	  --no-header --no-emit-index-url --python-version 3.11 \
	  -o requirements/$$name.txt requirements/$$name.in; done

clean: ## stop the embedded services, remove var/ and out/
	@if [ -x $(PYTHON) ]; then $(PYTHON) -m config.embedded remove; fi
	@rm -rf out

install-base:
	@requirements/install.sh base

install-dev:
	@requirements/install.sh dev

install-outside:
	@requirements/install.sh outside
