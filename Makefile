# `make demo` and `make test` do all set-up themselves; both work on a clean clone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# processes that test at once, each with servers of its own
TESTERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo test check unit laws integration chaos bench soak mutants docs lock format clean

help: ## what can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY) ## the main job on real servers, in about a minute
	$(BIN)/headrace demo $(DEMO)

test: check unit integration ## everything that must pass: style, types, imports, unit, integration

check: $(READY) ## format, lint, types, import contracts
	$(BIN)/ruff format --check app tasks tests
	$(BIN)/ruff check app tasks tests
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(READY) ## pure tests: no server, no network
	$(BIN)/pytest tests/unit -n $(TESTERS)

laws: $(READY) ## the property tests on timelines that no run has seen
	$(BIN)/pytest tests/unit -k "laws or any_bytes" --hypothesis-profile=other --hypothesis-show-statistics

integration: $(READY) ## tests on real servers, started by the fixtures
	$(BIN)/pytest tests/integration -n $(TESTERS) --dist loadfile

chaos: $(READY) ## long fault tests
	$(BIN)/pytest tests/chaos

bench: $(READY) ## measurements, each beside its baseline
	$(BIN)/pytest tests/bench -s

soak: $(READY) ## what every program holds in memory, loaded and then idle: an hour and a half
	$(BIN)/pytest tests/soak -s

mutants: .venv-mutants/.ready ## faults put into the rules one by one: does some test see each? half an hour; docs/tests.md
	nice -n 19 .venv-mutants/bin/mutmut run --max-children 2 $(MUTANTS)
	.venv-mutants/bin/mutmut results

# a virtualenv of its own: mutmut wants a newer click than Faust allows, and no test of app/policy needs Faust
.venv-mutants/.ready: requirements.lock
	$(PYTHON) -m venv .venv-mutants
	.venv-mutants/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	.venv-mutants/bin/pip install --quiet --disable-pip-version-check 'mutmut>=3.8,<4'
	@touch $@

docs: $(READY) ## write the pages of docs/ that say what the code says
	$(BIN)/python -m tests.docs

lock: ## take newer dependencies into requirements.lock
	uv pip compile --universal --generate-hashes --no-annotate pyproject.toml --group dev --all-extras -o requirements.lock

format: $(READY) ## format and mend what can be mended
	$(BIN)/ruff format app tasks tests
	$(BIN)/ruff check --fix app tasks tests

clean: ## remove what was made
	rm -rf $(VENV) .venv-mutants mutants .mypy_cache .ruff_cache .pytest_cache .hypothesis .headrace
