# `make demo` and `make test` are each alone enough on a fresh machine; both start with `make setup`.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3 || echo python3)
BIN := .venv/bin
ARGS ?=

.PHONY: demo test check lint format setup clean

demo: setup ## Real images through a real Kafka and a real S3 to real answers: ARGS=--keep leaves it all running.
	@$(BIN)/sightstream demo $(ARGS)

test: lint ## Everything that CI runs: format, lint, types, all tests; most of them wait, so two files at a time.
	$(BIN)/pytest -n 2 --dist loadfile $(ARGS)

check: lint ## As `test`, but only the fast tests: no Kafka, no S3.
	$(BIN)/pytest -m "not real" $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup ## Rewrites the code as `test` wants it.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

setup: ## Python packages, Java, Kafka; a second when nothing changed.
	@$(PYTHON) -m sightstream.infra.bootstrap

clean: ## Removes what was made here; the jars shared by all clones stay in the user's cache.
	rm -rf .venv .tools .sightstream build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
