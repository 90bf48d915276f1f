# Everything that a person or CI does with this repository. `make` alone says what there is.
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := $(shell awk '/^name = "uv"$$/ {getline; gsub(/[^0-9.]/, ""); print}' uv.lock)
export UV_PYTHON_DOWNLOADS := never

.PHONY: help setup demo check test fast stack bench clean
help:
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready ## install the command and the test tools into .venv

$(VENV)/.ready: pyproject.toml uv.lock
	python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv sync --quiet --locked --extra demo
	@touch $@

demo: setup ## see everything work here, in about a minute
	$(BIN)/wharfinger demo

check: setup ## lint, types and the house rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -q tests/test_architecture.py

fast: setup ## the tests that need no control planes
	$(BIN)/pytest -q -n 2 -m "not stack"

stack: setup ## build the real control planes that the tests use (once, about 25 minutes)
	$(BIN)/python -m tests.stack.build

test: setup stack ## everything, on real control planes
	$(BIN)/pytest -q -n 2 --dist loadscope

bench: setup stack ## ratios to peers, printed as a table
	$(BIN)/python -m tests.bench.ratios

clean: ## remove what make made here (not the stack's cache)
	rm -rf $(VENV) wharfinger-demo .stack-logs .mypy_cache .pytest_cache .ruff_cache .hypothesis
