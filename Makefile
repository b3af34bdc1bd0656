# `make demo` and `make test` each suffice on a fresh machine; both start with `make setup`.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3 || echo python3)
BIN := .venv/bin
ARGS ?=
WORKERS ?= 3
SEED ?= 1
MINUTES ?= 30
REPORT ?= build/soak.json
# Whole files, in the order of tests/conftest.py.
PARALLEL := --dist loadfile --no-loadscope-reorder
# Some machines set it. The tests start hundreds of processes, and each would compile every module that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test tests check fast soak mutants lint format lock setup clean help

demo: setup ## Send real images through a real Kafka and a real S3 to real answers; ARGS=--keep leaves it all running.
	@$(BIN)/sightstream demo $(ARGS)

test: ## Run all that CI runs: format, lint, types and all tests but soak; WORKERS=3 test files at a time, as most wait.
	@$(MAKE) --no-print-directory -j 2 lint tests

tests: setup ## Run all tests but soak, without format, lint and types.
	$(BIN)/pytest -n $(WORKERS) $(PARALLEL) -m "not soak" $(ARGS)

check: ## Run format, lint, types and the fast tests, in a minute: no Kafka, no S3, no slow ones.
	@$(MAKE) --no-print-directory -j 2 lint fast

fast: setup ## Run the fast tests alone.
	$(BIN)/pytest -n $(WORKERS) $(PARALLEL) -m "not real and not slow and not soak" $(ARGS)

soak: setup ## Run the tests marked soak, then break a cluster in every way: SEED=1 MINUTES=30 REPORT=build/soak.json
	$(BIN)/pytest -m soak
	$(BIN)/python -m tests.faults.soak --seed $(SEED) --minutes $(MINUTES) --report $(REPORT) $(ARGS)

mutants: setup ## Break the product on purpose, fault by fault, and see that the tests notice; ARGS=NAME runs that one.
	$(BIN)/python -m tests.mutants $(ARGS)

lint: setup ## Check format, lint rules and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup ## Rewrite the code as `make lint` wants it.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: setup ## Write requirements.txt from pyproject.toml; ARGS=--upgrade takes the newest versions.
	uv=$$($(PYTHON) -c "from sightstream.infra.bootstrap.environment import ensure_uv; print(ensure_uv())") && \
	UV_CUSTOM_COMPILE_COMMAND="make lock" $$uv pip compile --quiet --universal --python-version 3.11 --all-extras \
		--group dev --generate-hashes --no-annotate $(ARGS) --output-file requirements.txt pyproject.toml

setup: ## Install Python packages, Java, Kafka and Prometheus; takes a second when nothing has changed.
	@$(PYTHON) -m sightstream.infra.bootstrap
	@$(if $(filter setup,$(MAKECMDGOALS)),echo "Installed. Next: '. $(BIN)/activate' and docs/tutorials/first-hour.md - or 'make demo'.")

clean: ## Remove what was made here; the jars shared by all clones stay in the user's cache.
	rm -rf .venv .tools .sightstream build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis

help: ## Show this list.
	@awk 'BEGIN { FS = ":.*## " } /^[a-z]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' Makefile
