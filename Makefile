# Everything starts here; `make help` lists it. GNU make 3.81 is enough.
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
RUN_OPTIONS := $(if $(PORT),--port $(PORT)) $(if $(HOST),--host $(HOST)) $(if $(DATA),--data $(DATA)) $(if $(BACKEND),--backend $(BACKEND))
# Two workers, a file to one of them: what a file starts, it starts once.
TEST_WORKERS ?= 2

.PHONY: help setup run demo test check lock clean

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-8s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: .venv/.ready ## Make .venv with everything (the others do it too)

.venv/.ready: requirements.lock requirements-dev.lock pyproject.toml .ci/setup
	@.ci/setup

run: .venv/.ready ## Start the platform: make run [PORT=9000] [BACKEND=URL|local|fake] [DATA=folder]
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

lock: ## Choose versions anew; the files hold no index address
	uv pip compile --quiet pyproject.toml --universal --generate-hashes --upgrade -o requirements.lock
	uv pip compile --quiet pyproject.toml --universal --generate-hashes --upgrade --group dev --group local-model \
		--no-annotate -c requirements.lock -o requirements-dev.lock

clean: ## Remove what make made
	rm -rf .venv .tools build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
