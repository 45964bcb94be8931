# `make` prints the commands.
.DEFAULT_GOAL := help
.PHONY: help demo check test quick smoke faults bench lint format docs lock

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The template's own code, and the folders of the generated project whose code is copied as it is.
CODE := answer_checks.py cookiecutter_2_7_is_needed.py hooks tests bench docs $(addprefix '{{cookiecutter.project_slug}}'/,accounts example jobs ops tests manage.py)
# Tests that share a stack run in the same process, and what takes longest begins first: tests/conftest.py.
PYTEST := $(BIN)/pytest --dist loadgroup --no-loadscope-reorder
# Stacks mostly wait, so two cores have room for four.
IN_DOCKER := $(PYTEST) --numprocesses 4
RUFF := $(BIN)/ruff --config pyproject.toml

help: ## Print the commands
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

demo: $(VENV)/installed ## Scaffold the default project, start it, run a sample task, print its result (KEEP=1: leave it running)
	@$(BIN)/python -m tests.demo

check: lint ## Run lint and the cheapest tests: in less than a minute
	$(BIN)/pytest --quiet --numprocesses 2 tests/test_answer_checks.py tests/test_commits.py tests/test_render.py

test: $(VENV)/installed lint docs quick ## Run all tests; without a Docker engine, those that need one are skipped and named
	$(IN_DOCKER) tests/faults tests/smoke

quick: $(VENV)/installed ## Run the tests that need no Docker
	$(PYTEST) --numprocesses 6 --ignore tests/smoke --ignore tests/faults

smoke: $(VENV)/installed ## Build and start every combination in Docker, and run a task in it
	$(IN_DOCKER) tests/smoke

faults: $(VENV)/installed ## Run every fault on each broker and write what is lost into docs/faults.md (Docker, 45 minutes)
	@rm -f .faults/long.jsonl
	$(PYTEST) --numprocesses 3 tests/faults --long --deselect tests/faults/test_full_load.py
	$(PYTEST) tests/faults/test_full_load.py --long
	$(BIN)/python -m tests.faults.report

bench: $(VENV)/installed ## Measure requests with jobs and without, a backlog of jobs, other engines, and worker pools (needs Docker)
	$(BIN)/python -m bench.report
	$(BIN)/python -m bench.publish
	$(BIN)/python -m bench.connections
	$(BIN)/python -m bench.backlog
	$(BIN)/python -m bench.performance
	$(BIN)/python -m bench.saturation

lint: $(VENV)/installed ## Check the style of all code that contains no Jinja, and with mypy the types in tests, hooks and answer_checks.py
	$(RUFF) check --no-cache $(CODE)
	$(RUFF) format --no-cache --check $(CODE)
	$(BIN)/mypy

format: $(VENV)/installed ## Format all code that contains no Jinja
	$(RUFF) check --no-cache --fix $(CODE)
	$(RUFF) format --no-cache $(CODE)

docs: $(VENV)/installed ## Build docs/ to docs/_build; warnings are errors
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs docs/_build

lock: ## Update both constraints.txt: the newest versions that fit, with hashes
	@# constraints.txt has no hash yet for a package that was added to pyproject.toml, so .venv is used as it is
	@test -e $(VENV)/installed || $(MAKE) $(VENV)/installed
	$(BIN)/python -m tests.lock

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.13 …")'
	$(PYTHON) -m venv $(VENV)
	sed -n '/^uv==/,/[^\\]$$/p' constraints.txt > $(VENV)/uv.txt
	$(BIN)/pip install --quiet --requirement $(VENV)/uv.txt
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(VENV) --require-hashes --constraint constraints.txt \
		--group dev
	@touch $@
