# The desk's tasks. Each sets up what it needs from nothing: Python 3.11 and make are enough.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: setup install demo test lint types bench specs pictures soak boot storm lock clean

setup: $(READY)

$(READY): requirements-dev.lock pyproject.toml
	@echo "setting up $(VENV) from the lock; that takes a minute or two"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(READY)

# The program alone, from the lock of what it runs on: make install PREFIX=/opt/rebalancer
PREFIX ?= /opt/rebalancer

install:
	$(PYTHON) -m venv $(PREFIX)
	$(PREFIX)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(PREFIX)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation .

demo: setup
	$(BIN)/rebalancer demo $(DEMO)

# Compiled modules are kept whatever the environment says: the tests start the program a hundred times.
test: setup
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 4 --dist worksteal $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

bench: setup
	$(BIN)/python -m benchmarks

# Writes docs/openapi.json, docs/asyncapi.json, docs/config.schema.json and docs/reference from the
# program.
specs: setup
	$(BIN)/python -m rebalancer.api.specs docs
	$(BIN)/python -m tests.docs.reference --write

# Writes pictures of the page: of a desk with simulated markets, or of one that runs:
# make pictures URL=http://127.0.0.1:8765/ FUND=BTC3L
# Needs Chromium; its driver comes from tests/page/requirements.lock.
pictures: setup
	$(BIN)/python -m tests.page docs/pictures $(URL) $(FUND)

# Counts as arguments: make soak DAYS=200 CRASH_DAYS=2 DOUBLE_CRASHES=50 BAD_PRICES=1000 RELOAD_SECONDS=30
DAYS           := 20000
CRASH_DAYS     := 100
DOUBLE_CRASHES := 5000
BAD_PRICES     := 200000
MUTANT_SEEDS   := 1000
FAST           := 2000
RELOAD_SECONDS := 300
REQUESTS       := 20000
KILLS          := 300
STORAGE_FAULTS := 500
FILE_DAYS      := 500
CAPITAL_DAYS   := 1000
OPERATED_DAYS  := 1000

# `make -k soak` goes on after a part that failed; `make soak-crashes CRASH_DAYS=3` runs one part.
SOAK := days crashes double prices mutants kills storage files capital operated fast requests storm boot

.PHONY: $(SOAK:%=soak-%)

soak: $(SOAK:%=soak-%)

soak-days: setup
	$(BIN)/python -m tests.simulation days --count $(DAYS)
soak-crashes: setup
	$(BIN)/python -m tests.simulation crashes --count $(CRASH_DAYS)
soak-double: setup
	$(BIN)/python -m tests.simulation double --count $(DOUBLE_CRASHES)
soak-prices: setup
	$(BIN)/python -m tests.simulation prices --count $(BAD_PRICES)
soak-mutants: setup
	$(BIN)/python -m tests.simulation mutants --count $(MUTANT_SEEDS)
	$(BIN)/python -m tests.fast --mutants --count $(MUTANT_SEEDS)
soak-kills: setup
	$(BIN)/python -m tests.simulation kills --count $(KILLS)
soak-storage: setup
	$(BIN)/python -m tests.simulation storage --count $(STORAGE_FAULTS)
soak-files: setup
	$(BIN)/python -m tests.simulation files --count $(FILE_DAYS)
soak-capital: setup
	$(BIN)/python -m tests.simulation capital --count $(CAPITAL_DAYS)
soak-operated: setup
	$(BIN)/python -m tests.simulation operated --count $(OPERATED_DAYS)
soak-fast: setup
	$(BIN)/python -m tests.fast --count $(FAST)
soak-requests: setup
	REQUESTS=$(REQUESTS) $(BIN)/python -m pytest -q -s tests/api/test_any_request.py
soak-storm: storm
soak-boot: boot

# Boots a Debian in a folder and runs the desk there as deploy/README.md says; needs root, debootstrap
# and systemd-nspawn (apt-get install debootstrap systemd-container).
boot: setup
	$(BIN)/python -m tests.boot

# Reloads, good and bad, over a live desk at the loopback venue: make storm RELOAD_SECONDS=60
storm: setup
	$(BIN)/python -m tests.e2e.storm --seconds $(RELOAD_SECONDS)

# Writes the lock files anew: hashes, no addresses. Needs uv (pip install uv).
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header -q --extra service pyproject.toml -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header -q --extra dev pyproject.toml -o requirements-dev.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header -q tests/loopback/sdk/requirements.in -o tests/loopback/sdk/requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header -q tests/page/requirements.in -o tests/page/requirements.lock
	uv pip compile --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header -q benchmarks/peers/requirements.in -o benchmarks/peers/requirements.lock

clean:
	rm -rf $(VENV) .venv-sdk .mypy_cache .pytest_cache .ruff_cache .hypothesis
