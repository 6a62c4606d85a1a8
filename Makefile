# A fresh machine needs Python 3.11, pip, make and node 20; `make run` and `make test` bring the rest.
# Settings pass through: make run PORT=8001 DEMO=0 CARBONDESK_HOME=/srv/desk DATABASE_URL=... REDIS_URL=...

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PY := .venv/bin/python

.PHONY: run demo test lint format schema docs dashboard bench screenshots verify reset lock test-release clean help

run: ## start the market: servers, API, dashboard (FLOW=1 adds simulated traders)
	@scripts/setup run
	@if $(PY) build_dashboard.py lacks-node; then scripts/setup node; fi
	@$(PY) build_dashboard.py auto
	@exec $(PY) -m api run

demo: export FLOW := 1
demo: run ## the same with simulated traders

test: ## everything: dashboard checks, then Python and the browser against real servers (ARGS= goes to pytest)
	@scripts/setup dev
	@if $(PY) build_dashboard.py lacks-node; then scripts/setup node; fi
	@$(PY) build_dashboard.py require
	@$(PY) build_dashboard.py npm run --silent check
	@$(PY) build_dashboard.py npm run --silent test
	@CHROMIUM="$$(scripts/chromium)"; export CHROMIUM; scripts/faketime >/dev/null || true; exec $(PY) -m pytest $(ARGS)

lint: ## ruff, mypy, tsc, eslint
	@scripts/setup dev
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(PY) build_dashboard.py npm run --silent check
	@$(PY) build_dashboard.py npm run --silent lint

format: ## let ruff rewrite what it can
	@scripts/setup dev
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

schema: ## write schema.graphql, and what docs/ says of settings, metrics and types, from the code
	@scripts/setup run
	@$(PY) -m api schema --write
	@$(PY) -m api docs --write

docs: ## build the site of docs/ into site/
	@scripts/setup dev
	@$(PY) -m mkdocs build --strict --quiet
	@echo "site/index.html"

dashboard: ## build the dashboard if its sources changed
	@scripts/setup run
	@if $(PY) build_dashboard.py lacks-node; then scripts/setup node; fi
	@$(PY) build_dashboard.py require

bench: ## run one figure: make bench NAME=orders (no NAME lists them)
	@scripts/setup dev
	@if [ -n "$(NAME)" ]; then exec $(PY) -m bench.$(NAME) $(ARGS); \
	else ls bench/*.py | sed -E 's|bench/(.*)\.py|make bench NAME=\1|'; fi

screenshots: ## take the pictures of docs/screenshots anew
	@scripts/setup dev
	@if $(PY) build_dashboard.py lacks-node; then scripts/setup node; fi
	@$(PY) build_dashboard.py require
	@CHROMIUM="$$(scripts/chromium)"; export CHROMIUM; exec $(PY) -m scripts.screenshots

verify: ## recompute every law of the running market from its rows
	@scripts/setup run
	@exec $(PY) -m api verify

reset: ## delete the market's data (YES=1 does not ask)
	@scripts/setup run
	@exec $(PY) -m api reset $(if $(YES),--yes)

# Hashes without any registry's address; a second lock is the first one plus the tools, never other versions.
UV_COMPILE := .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --no-annotate $(if $(UPGRADE),--upgrade)
lock: ## renew requirements*.lock after a change of pyproject.toml (UPGRADE=1 takes newer versions)
	@scripts/setup dev
	@$(UV_COMPILE) pyproject.toml --output-file requirements.lock
	@$(UV_COMPILE) pyproject.toml --extra dev --constraint requirements.lock --output-file requirements-dev.lock
	@$(UV_COMPILE) pyproject.toml --extra node --constraint requirements.lock --output-file requirements-node.lock

test-release: ## build and try the wheel, then property, race and interleaving tests (TEST_SIZE=full)
	@scripts/setup dev
	@scripts/test-release

clean: ## delete what was built or installed here, but no data
	@rm -rf .venv site api/_dashboard dashboard/node_modules dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16
