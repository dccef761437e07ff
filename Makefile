# One place for every command a person or CI runs. Needs Python 3.11 or newer, make, and the package registry.
SHELL := /bin/bash
PYTHON ?= python3
UV := .tools/bin/uv
VENV := .venv
BIN := $(VENV)/bin
export UV_PYTHON_DOWNLOADS := never
TRUEUP_TEST_DATA ?= $(abspath ../shared/data)
export TRUEUP_TEST_DATA

.PHONY: demo test check bench endurance lint types layers lock browser clean

demo: $(VENV)/.ready  ## the main job: a lender's fraud case from charter to report
	$(BIN)/trueup demo

test: $(VENV)/.ready browser  ## everything the product promises, under 15 minutes on 2 cores
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: lint types layers test  ## exactly what CI runs, and the gates

lint: $(VENV)/.ready
	$(BIN)/ruff format --check . && $(BIN)/ruff check .

types: $(VENV)/.ready
	$(BIN)/mypy

layers: $(VENV)/.ready
	$(BIN)/lint-imports

bench: $(VENV)/.ready  ## prints figures beside peers; writes build/bench.json
	mkdir -p build && $(BIN)/python -m benchmarks

endurance: $(VENV)/.ready  ## the long versions; writes build/endurance.json
	mkdir -p build && $(BIN)/python -m benchmarks.endurance

lock: $(UV)  ## resolve again; the locks pin every file by hash and name no host, the third ships for the hashes of bundles
	$(UV) pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url -o requirements-dev.lock
	$(UV) pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url -c requirements-dev.lock -o requirements.lock
	$(UV) pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url -c requirements-dev.lock -o src/trueup/bundle/known_hashes.lock

$(UV):
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Trueup needs Python 3.11 or newer")'
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --target .tools uv

$(VENV)/.ready: requirements-dev.lock pyproject.toml | $(UV)
	$(UV) venv --quiet --allow-existing --python $(PYTHON) $(VENV)
	$(UV) pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements-dev.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $@

browser:  ## Chromium for the page tests, where it can be installed; else those tests skip and say so
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } || echo "chromium is missing: page tests will be skipped"

clean:
	rm -rf build .venv .tools
