# `make run` needs Python 3.11 or later, make and the package index: no git, no node, no root.
#
# `make test` also uses programs of the system. The tests start each one themselves, on loopback and
# on throw-away files, and find it here:
#   PostgreSQL   initdb, pg_ctl    PATH, else /usr/lib/postgresql/*/bin
#   Redis        redis-server      PATH
#   nginx        nginx, openssl    PATH (/usr/sbin counts)
#   Prometheus   promtool          PATH
#   Chromium     chromium          PATH, else google-chrome; chromium-headless-shell makes it quick
#   Node         node, npm         PATH
#   PHP          php, pdo_sqlite   PATH
# tests/clients, which only .ci/weekly runs, needs nginx, npm and, of util-linux, unshare and mount; the
# kernel must allow a network of its own.
# scripts/system_packages.sh installs what is missing where it may (root, apt-get). Elsewhere the
# tests that need it are deselected by their markers (postgres, redis, nginx, promtool, browser, node,
# php, npm) and the last line says so. With CI=true nothing may be left out: a missing
# program is a failure, and so is a test that skips itself.

PY := .venv/bin/python
READY := .venv/.ready
READY_DEV := .venv/.ready-dev
CATALOGUES := $(patsubst %.po,%.mo,$(wildcard mpesa/translations/*/LC_MESSAGES/*.po))

# A .venv whose Python has moved or gone is made again.
ifneq ($(wildcard .venv),)
ifneq ($(shell $(PY) -c 'print("runs")' 2>/dev/null),runs)
$(READY) $(READY_DEV): broken-venv
endif
endif

.DEFAULT_GOAL := help
.PHONY: help run setup setup-tests test check format messages api-examples bench soak screenshots simulator-package lighthouse clients openapi-tools image sbom lock clean broken-venv
.DELETE_ON_ERROR:

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile

# exec: Ctrl-C and SIGTERM reach the server itself, and its exit status is the recipe's.
run: setup ## set up what is missing, then serve at http://127.0.0.1:8000
	@exec $(PY) app.py

setup: $(READY) $(CATALOGUES) ## only set up into .venv

setup-tests: $(READY_DEV) $(CATALOGUES) ## only set up what the tests need into .venv

test: setup-tests ## every test but tests/clients, with what they need
	@scripts/test.sh

check: $(READY_DEV) ## format, lint, types, layers
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	.venv/bin/lint-imports --no-logo

format: $(READY_DEV) ## rewrite the code in the project's format
	$(PY) -m ruff check --fix-only --quiet .
	$(PY) -m ruff format .

PYBABEL := $(PY) -m babel.messages.frontend --quiet
POT := .setup/messages.pot

messages: $(READY_DEV) ## take new texts into the catalogues, and compile them
	@mkdir -p $(dir $(POT))
	$(PYBABEL) extract --mapping-file babel.cfg --keywords _l --add-location file --sort-by-file --output-file $(POT) .
	$(PYBABEL) update --input-file $(POT) --output-dir mpesa/translations --locale sw --width 100 --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date
	$(PYBABEL) compile --directory mpesa/translations

api-examples: $(READY_DEV) $(CATALOGUES) ## record the examples of /openapi.json and /docs/api anew
	$(PY) -m pytest -q --record tests/web/merchant/test_examples.py

bench: $(READY_DEV) $(CATALOGUES) ## measure how long a result takes, and what it costs
	$(PY) -m tests.bench

soak: $(READY_DEV) $(CATALOGUES) ## pay for an hour, with every misbehaviour, and compare the books
	$(PY) -m tests.soak --minutes 60

screenshots: $(READY_DEV) $(CATALOGUES) ## take the documents' pictures again
	$(PY) -m scripts.screenshots

simulator-package: $(READY_DEV) ## build the wheel of mpesa-simulator, in .setup/simulator-package
	$(PY) -m scripts.simulator_package .setup/simulator-package

NODE_READY := node_modules/.ready

$(NODE_READY): package.json package-lock.json
	npm install --ignore-scripts --no-audit --no-fund
	@touch $@

lighthouse: $(READY_DEV) $(CATALOGUES) $(NODE_READY) ## Lighthouse, and slow networks, on the checkout page
	$(PY) -m scripts.lighthouse

# Daraja clients of other people, for tests/clients; `make test` makes them where they can run.
CLIENTS := .setup/clients
clients: $(CLIENTS)/venv/.ready $(CLIENTS)/node_modules/.ready ## fetch what tests/clients needs

$(CLIENTS)/venv/.ready: tests/clients/requirements.txt
	@scripts/install.sh $< $(@D)
	@touch $@

$(CLIENTS)/node_modules/.ready: tests/clients/package.json tests/clients/package-lock.json
	@mkdir -p $(CLIENTS)
	@cp $^ $(CLIENTS)
	@cd $(CLIENTS) && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

# What tests/openapi reads /openapi.json with.
OPENAPI := .setup/openapi
openapi-tools: $(OPENAPI)/node_modules/.ready

$(OPENAPI)/node_modules/.ready: tests/openapi/package.json tests/openapi/package-lock.json
	@mkdir -p $(OPENAPI)
	@cp $^ $(OPENAPI)
	@cd $(OPENAPI) && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

# From an environment with nothing in it but what a server gets, so that licences and who needs whom
# are those of what is installed. The tool learns from a copy of pyproject.toml what we use directly.
SBOM := .setup/sbom
sbom: $(SBOM)/installed/.ready $(SBOM)/pyproject.toml ## list what a release installs, in sbom.cdx.json (CycloneDX)
	$(SBOM)/tool/bin/cyclonedx-py environment --pyproject $(SBOM)/pyproject.toml --mc-type application \
		--output-file sbom.cdx.json $(SBOM)/installed

$(SBOM)/tool/.ready: requirements-sbom.txt
	@scripts/install.sh $< $(@D)
	@touch $@

$(SBOM)/installed/.ready: requirements.txt $(SBOM)/tool/.ready
	@$(SBOM)/tool/bin/python -m venv --clear --without-pip $(@D)
	@$(SBOM)/tool/bin/python -m pip --python $(@D)/bin/python install -qq --disable-pip-version-check \
		--no-deps --require-hashes -r $<
	@touch $@

$(SBOM)/pyproject.toml: pyproject.toml requirements.in
	@mkdir -p $(@D)
	@{ echo '[project]'; echo 'dependencies = ['; \
		sed -n 's/^\([A-Za-z][^ ]*\).*/  "\1",/p' requirements.in; echo ']'; \
		sed '/^\[project\]/d' pyproject.toml; } >$@

image: $(READY_DEV) ## build the container image without Docker, and pay in it (root, Debian)
	@scripts/image.sh

lock: $(READY_DEV) ## work out the lists of requirements anew from their sources
	scripts/lock.sh

clean: ## remove what make made; the database in instance/ stays
	rm -rf .venv .setup node_modules sbom.cdx.json .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): requirements.txt scripts/install.sh
	@scripts/install.sh requirements.txt
	@touch $@

# What the tests need includes what the server needs.
$(READY_DEV): requirements-dev.txt requirements.txt scripts/install.sh
	@scripts/install.sh requirements-dev.txt
	@touch $(READY) $@

%.mo: %.po | $(READY)
	@$(PY) -m babel.messages.frontend --quiet compile --input-file $< --output-file $@
