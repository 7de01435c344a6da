# Every step of continuous integration is one of these targets.
#
# PYTHON=python3.12  the interpreter that makes the virtual environment
# VENV=.venv         where that environment lives
# ARGS="-k wire"     more arguments for pytest, or for the benchmarks
# SECONDS=600        how long `make fuzz` looks for inputs that break something

PYTHON  ?= python3
VENV    ?= .venv
ARGS    ?=
SECONDS ?= 600
PYTHONS := 3.11 3.12 3.13

SHELL := /bin/sh
.DEFAULT_GOAL := help
# pip runs must not overlap in one environment.
.NOTPARALLEL:
# Tests, examples and benchmarks start many programs: geopb is not compiled for each.
unexport PYTHONDONTWRITEBYTECODE
.SUFFIXES:

BIN := $(VENV)/bin
PEERS := .venv-peers
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install -qq

.PHONY: help demo test check fmt types docs examples bench bench-peers bench-curves bench-docs soak gauntlet fuzz fuzz-ready coverage build matrix clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.runtime ## a server and a client that calls it
	@$(BIN)/python examples/1_echo/demo.py

test: $(VENV)/.test ## the whole test suite
	@$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.lint ## format, lint, types, import contracts: changes nothing
	@echo "ruff format"; $(BIN)/python -m ruff format --check --quiet . \
	    || { echo "not formatted; 'make fmt' does it:"; $(BIN)/python -m ruff format --check .; }
	@echo "ruff check"; $(BIN)/python -m ruff check --quiet .
	@echo "mypy --strict"; $(BIN)/python -m mypy --strict --no-error-summary
	@echo "import contracts"; \
	    report=$$($(BIN)/python $(BIN)/lint-imports --no-logo) || { echo "$$report"; exit 1; }
	@echo "all checks passed"

fmt: $(VENV)/.lint ## format the code and fix what ruff can fix
	@$(BIN)/python -m ruff check --quiet --fix-only .
	@$(BIN)/python -m ruff format .

types: $(VENV)/.lint ## mypy --strict alone
	@$(BIN)/python -m mypy --strict

docs: $(VENV)/.docs ## the documentation, into docs/_build/html
	@$(BIN)/python -m sphinx -n -W --keep-going --quiet -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

examples: $(VENV)/.test ## run each example and compare what it prints
	@$(BIN)/python -m pytest tests/examples $(ARGS)

bench: $(VENV)/.test ## measure, beside bare messages
	@$(BIN)/python -m tests.benchmarks $(ARGS)

bench-peers: $(VENV)/.test $(PEERS)/.peers ## the same beside other libraries, into docs/benchmarks.md
	@PEERS_PYTHON=$(PEERS)/bin/python $(BIN)/python -m tests.benchmarks.peers $(ARGS)

bench-curves: $(VENV)/.test ## how cost grows, into docs/benchmarks.md
	@$(BIN)/python -m tests.benchmarks.curves $(ARGS)

bench-docs: ## all three, into docs/benchmarks.md: half an hour on a quiet machine
	@$(MAKE) --no-print-directory bench ARGS="--docs $(ARGS)"
	@$(MAKE) --no-print-directory bench-peers bench-curves

soak: $(VENV)/.test ## use it, and flood it, for some minutes: look for what grows
	@$(BIN)/python -m tests.soak

gauntlet: $(VENV)/.test ## the hostile cases in their full numbers: minutes
	@GAUNTLET=full $(BIN)/python -m pytest --timeout=600 tests/gauntlet tests/fuzz tests/properties $(ARGS)

fuzz: $(VENV)/.fuzz ## look for inputs that break something, for SECONDS=600
	@SECONDS=$(SECONDS) $(BIN)/python -m tests.fuzz

# For those who go on without it.
fuzz-ready: $(VENV)/.fuzz

coverage: $(VENV)/.test ## the test suite, and which lines it ran
	@$(BIN)/python -m coverage run -m pytest $(ARGS)
	@$(BIN)/python -m coverage report

build: $(VENV)/.dev ## sdist and wheel, into dist/
	@rm -rf dist
	@report=$$($(BIN)/python -m build --outdir dist . 2>&1) || { echo "$$report"; exit 1; }
	@ls -1 dist/*

matrix: ## the test suite under each supported Python
	@failed=""; \
	for version in $(PYTHONS); do \
	    echo; echo "=== Python $$version"; \
	    python=""; \
	    for candidate in "python$$version" \
	        "$$(pyenv root 2>/dev/null || true)"/versions/$$version.*/bin/python; do \
	        if "$$candidate" -c "" > /dev/null 2>&1; then python=$$candidate; break; fi; \
	    done; \
	    if [ -z "$$python" ]; then \
	        echo "*** MISSING: no Python $$version on PATH or under pyenv ***" >&2; \
	        failed="$$failed $$version(missing)"; \
	    elif ! $(MAKE) --no-print-directory test VENV=.venv-$$version PYTHON="$$python"; then \
	        failed="$$failed $$version"; \
	    fi; \
	done; \
	echo; \
	if [ -n "$$failed" ]; then echo "*** matrix failed:$$failed ***" >&2; exit 1; fi; \
	echo "matrix passed: $(PYTHONS)"

clean: ## remove all that the other targets made
	@rm -rf .venv .venv-* build dist docs/_build .coverage .coverage.* htmlcov \
	    .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find geopb tests examples docs -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

# The environment. A stamp per dependency group, so that `make demo` waits for
# gevent and cbor2 only.

$(VENV)/.runtime: pyproject.toml
	@$(PYTHON) -c "" > /dev/null 2>&1 \
	    || { echo "geopb needs Python 3.11 or later, and '$(PYTHON)' does not run: try make PYTHON=python3.12." >&2; exit 1; }
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" \
	    || { echo "geopb needs Python 3.11 or later, and '$(PYTHON)' is $$($(PYTHON) -c 'import platform; print(platform.python_version())'): try make PYTHON=python3.12." >&2; exit 1; }
	@$(PYTHON) -c "import ensurepip, venv" 2> /dev/null \
	    || { echo "'$(PYTHON)' has no venv module: install it first (on Debian and Ubuntu: apt-get install python3-venv)." >&2; exit 1; }
	@echo "preparing $(VENV)" >&2
	@$(BIN)/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@$(PIP) --upgrade "pip>=25.1"
	@$(PIP) --editable .
	@touch $@

# Not a pattern rule: make would match `.%` with other files in there.
$(addprefix $(VENV)/.,test lint docs dev fuzz): $(VENV)/.%: $(VENV)/.runtime
	@echo "preparing $(VENV) ($*)" >&2
	@$(PIP) --group $*
	@touch $@

# Peers of the benchmark, in an environment that nothing else needs. Each by itself:
# what does not install is said, and the others go on.
$(PEERS)/.peers: tests/benchmarks/peers/requirements.txt | $(VENV)/.runtime
	@echo "preparing $(PEERS)" >&2
	@$(PEERS)/bin/python -m pip --version > /dev/null 2>&1 || $(BIN)/python -m venv --clear $(PEERS)
	@grep -v '^#' $< | while read -r peer; do \
	    PIP_DISABLE_PIP_VERSION_CHECK=1 $(PEERS)/bin/python -m pip install -qq $$peer > $(PEERS)/pip.log 2>&1 \
	        || echo "*** DOES NOT INSTALL, left out: $$peer $$(grep -i error: $(PEERS)/pip.log | grep -v subprocess-exited | head -n 1) ***" >&2; \
	done
	@touch $@
