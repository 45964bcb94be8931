# `make` prints the verbs.
.DEFAULT_GOAL := help
.PHONY: help demo test quick smoke faults bench lint format docs lock

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

help: ## Print the verbs
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

demo: $(VENV)/installed ## Scaffold the default project, start it, run a sample task, print its result (KEEP=1: leave it running)
	@$(BIN)/python -m tests.demo

test: $(VENV)/installed lint quick ## Run all tests; those that need Docker are left out, and named, where no engine answers
	$(BIN)/pytest tests/smoke tests/faults

quick: $(VENV)/installed ## Run the tests that need no Docker
	$(BIN)/pytest --numprocesses 2 --dist worksteal --ignore tests/smoke --ignore tests/faults

smoke: $(VENV)/installed ## Build and start every combination in Docker, and run a task in it
	$(BIN)/pytest tests/smoke

faults: $(VENV)/installed ## Make every fault on each broker and write what is lost into docs/faults.md (Docker, about an hour)
	$(BIN)/pytest tests/faults --long
	$(BIN)/python -m tests.faults.report

bench: $(VENV)/installed ## Measure what a request waits for, with jobs and without (needs Docker)
	$(BIN)/python -m bench.report
	$(BIN)/python -m bench.publish
	$(BIN)/python -m bench.connections

lint: $(VENV)/installed ## Check the style of the template's own code
	$(BIN)/ruff check hooks tests bench docs
	$(BIN)/ruff format --check hooks tests bench docs

format: $(VENV)/installed ## Format the template's own code
	$(BIN)/ruff check --fix hooks tests bench docs
	$(BIN)/ruff format hooks tests bench docs

docs: $(VENV)/installed ## Build docs/ to docs/_build, warnings are errors
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs docs/_build

lock: $(VENV)/installed ## Write both constraints.txt anew: newest versions that fit, with hashes
	$(BIN)/python -m tests.lock

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.13 …")'
	$(PYTHON) -m venv $(VENV)
	sed -n '/^uv==/,/[^\\]$$/p' constraints.txt > $(VENV)/uv.txt
	$(BIN)/pip install --quiet --requirement $(VENV)/uv.txt
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(VENV) --require-hashes --constraint constraints.txt \
		--group dev
	@touch $@
