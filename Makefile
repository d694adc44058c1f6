# Everything starts here; `make help` lists it. GNU make 3.81 is enough.
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
RUN_OPTIONS := $(if $(PORT),--port $(PORT)) $(if $(HOST),--host $(HOST)) $(if $(DATA),--data $(DATA)) $(if $(BACKEND),--backend $(BACKEND))
# Two workers, a file to one of them: what a file starts, it starts once.
TEST_WORKERS ?= 2

.PHONY: help setup run demo web wheel sdk create types test conformance faults check lock clean

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-11s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: .venv/.ready ## Make .venv with everything (the others do it too)

.venv/.ready: requirements.lock requirements-dev.lock pyproject.toml .ci/setup
	@.ci/setup

WEB_SOURCES := $(wildcard web/*.* web/src/*) $(wildcard sdk/typescript/src/*)

BUILT_PAGE := api/pages/built/index.html

web: $(BUILT_PAGE) ## Build the chat page (fetches Node into .tools where there is none from version 20 on)

web/node_modules/.package-lock.json: web/package-lock.json
	@echo "Fetching what the chat page is built with (once, about half a minute)."
	@cd web && ../.ci/npm ci --silent

$(BUILT_PAGE): web/node_modules/.package-lock.json $(WEB_SOURCES)
	@cd web && ../.ci/npm run --silent build -- --logLevel warn

wheel: .venv/.ready $(BUILT_PAGE) ## Build the wheel, the chat page in it, into dist/
	@$$(command -v uv || echo .tools/uv/bin/uv) build --quiet --wheel --out-dir dist .

SDK := sdk/typescript
SDK_READY := $(SDK)/node_modules/.package-lock.json $(SDK)/tools/node_modules/.package-lock.json
CREATE := sdk/create-ollamanet
CREATE_READY := $(CREATE)/node_modules/.package-lock.json

$(SDK_READY) $(CREATE_READY): %/node_modules/.package-lock.json: %/package-lock.json
	@cd $* && "$(CURDIR)/.ci/npm" ci --silent

sdk: $(SDK_READY) $(CREATE_READY) ## Check, build and test the TypeScript SDK and npm create ollamanet (needs Node 20 or newer)
	@cd $(SDK)/tools && ../../../.ci/npm run --silent check || { echo "src/openapi.ts is stale: run make types."; exit 1; }
	@cd $(SDK) && rm -rf .test dist && ../../.ci/npm run --silent check && ../../.ci/npm run --silent build
	@cd $(SDK) && mkdir .test && ../../.ci/npm pack --silent --pack-destination .test && ../../.ci/npm run --silent package
	@cd $(SDK) && ../../.ci/npm test --silent
	@cd $(CREATE) && rm -rf .test dist && ../../.ci/npm run --silent check && ../../.ci/npm run --silent build
	@cd $(CREATE) && ../../.ci/npm test --silent

create: .venv/.ready $(SDK_READY) $(CREATE_READY) ## Make each app of npm create ollamanet from packed packages, in an empty folder, and ask through it
	@cd $(SDK) && ../../.ci/npm run --silent build
	@cd $(CREATE) && ../../.ci/npm run --silent build && ../../.ci/npm run --silent packed

types: .venv/.ready $(SDK_READY) ## Make sdk/openapi.json and the TypeScript types anew, after a change of the routes
	@$(PYTHON) -m api.openapi > sdk/openapi.json.new && mv sdk/openapi.json.new sdk/openapi.json
	@cd $(SDK)/tools && ../../../.ci/npm run --silent types

run: .venv/.ready ## Start the platform: make run [PORT=9000] [BACKEND=URL|local|fake] [DATA=folder]
	@! .ci/npm is-here || $(MAKE) --no-print-directory web || echo "The chat page was not built; a small one takes its place."
	@exec .venv/bin/ollamanet up $(RUN_OPTIONS)

demo: .venv/.ready ## Sign up, log in, ask, see the answer come
	@exec .venv/bin/ollamanet demo

check: .venv/.ready ## Format, lint, types, dependency rules
	@$(PYTHON) -m ruff format --check --quiet .
	@$(PYTHON) -m ruff check --quiet .
	@.venv/bin/basedpyright --level error
	@.venv/bin/lint-imports --no-cache

test: check ## Check, then every test; what has no server here is skipped and said
	@$(PYTHON) -m pytest -q -n $(TEST_WORKERS) --dist loadfile $(TESTS)

conformance: .venv/.ready ## Official clients of OpenAI's and Ollama's APIs, unmodified, each in an environment of its own
	@$(PYTHON) -m tests.conformance.environments
	@$(PYTHON) -m pytest -q -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder tests/conformance

faults: .venv/.ready ## Kill, freeze, cut and empty things a few hundred times: make faults [FAULTS="--only kill --seed 7"]
	@$(PYTHON) -m tests.faults $(FAULTS)

lock: ## Choose versions anew; the files hold no index address
	uv pip compile --quiet pyproject.toml --universal --generate-hashes --upgrade -o requirements.lock
	uv pip compile --quiet pyproject.toml --universal --generate-hashes --upgrade --group dev --group local-model \
		--no-annotate -c requirements.lock -o requirements-dev.lock
	for one in tests/conformance/python_*; do uv pip compile --quiet $$one/requirements.in --universal --python-version 3.11 \
		--generate-hashes --no-annotate --upgrade -o $$one/requirements.lock || exit 1; done
	cd tests/conformance/node && ../../../.ci/npm install --silent --package-lock-only

clean: ## Remove what make made
	rm -rf .venv .tools build dist api/pages/built web/node_modules tests/conformance/node/node_modules sdk/typescript/node_modules sdk/typescript/tools/node_modules sdk/typescript/dist sdk/create-ollamanet/node_modules sdk/create-ollamanet/dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
