# make quickstart   install into .venv, then tune the small model that ships: minutes on a laptop
# make test         the tests, in about five minutes
# make check        format, lint, types, import contracts
# make snapshots    the stored pages of the screen anew, to be looked at in `git diff`
# make faults       kills, full disks, long runs: the slow tests
# make miniatures   the presets of the five projects on small random models: about a minute
# make bench        the figures of docs and README, measured again; those of a GPU where there is one
# make clean        remove .venv and everything that tools have left

.DEFAULT_GOAL := quickstart
.PHONY: quickstart install dev test check snapshots faults miniatures bench clean

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

# Without an NVIDIA GPU the CPU build of torch does, and spares gigabytes. TORCH_INDEX= takes PyPI's.
TORCH_INDEX ?= $(shell [ "$$(uname)" = Linux ] && ! command -v nvidia-smi > /dev/null && \
	echo https://download.pytorch.org/whl/cpu)

# llama.cpp is compiled on installing: use all cores.
CMAKE_BUILD_PARALLEL_LEVEL ?= $(shell getconf _NPROCESSORS_ONLN)
export CMAKE_BUILD_PARALLEL_LEVEL

quickstart: install
	$(BIN)/workbench --preset quickstart

install: $(VENV)/installed

dev: $(VENV)/installed-dev

test: dev
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

check: dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

snapshots: dev
	UPDATE_SNAPSHOTS=1 $(BIN)/python -m pytest tests/tui/test_snapshots.py
	git diff --stat -- tests/tui/snapshots

faults: dev
	$(BIN)/python -m pytest -m "slow or faults"

miniatures: install
	$(BIN)/python -m benchmarks.miniatures

bench: install
	for program in benchmarks/[a-z]*.py; do \
	  name=benchmarks.$$(basename "$$program" .py); echo "== $$name"; \
	  $(BIN)/python -m "$$name" || [ $$? -eq 2 ] || exit 1; done

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
	    "Name another one: make PYTHON=python3.12" >&2; exit 2; }
	@command -v c++ > /dev/null || command -v g++ > /dev/null || command -v clang++ > /dev/null || { \
	  echo "A C++ compiler is needed to build llama.cpp (Debian: apt install build-essential;" \
	    "macOS: xcode-select --install)." >&2; exit 2; }
	@echo "1/4  making $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade pip
	@touch $@

$(VENV)/installed: pyproject.toml constraints.txt | $(VENV)/made
	@if [ -n "$(TORCH_INDEX)" ]; then \
	  echo "2/4  torch, the build for CPUs"; \
	  $(PIP) install --retries 1 --timeout 15 -c constraints.txt --index-url "$(TORCH_INDEX)" torch \
	    2> /dev/null || echo "     not to be had there: the build of the Python index will do"; \
	else echo "2/4  torch comes with the rest"; fi
	@echo "3/4  llama.cpp (compiled here, some minutes) and the other libraries"
	@$(PIP) install -c constraints.txt -e .
	@echo "4/4  installed: $(BIN)/workbench"
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@echo "     and the tools for tests and checks"
	@$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@
