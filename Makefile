# Needs Python >= 3.11, git and make; everything else goes into .venv. `make help` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := ytdlp,s3,hf,scenes,cv,asr,lance,language,ocr,raft,tfrecord,torch,torchcodec,wandb
# One more than the two cores of a small machine: many tests wait for a server or a process.
PYTEST_WORKERS ?= 3

# The -c makes every install the one that was tested.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# Tests start hundreds of processes, which would each compile what they import where this is set.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test check format docs bench constraints clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/.core  ## make a small dataset from a misbehaving local server, and look at it
	@$(BIN)/clipmill demo

# Torchcodec looks for FFmpeg on the system, which may have none; PyAV has brought one along.
test: export LD_LIBRARY_PATH := $(CURDIR)/$(VENV)/ffmpeg$(addprefix :,$(LD_LIBRARY_PATH))
test: $(VENV)/.dev  ## run all tests
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist worksteal

check: $(VENV)/.dev  ## lint, types, import arrows, generated pages
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/reference.py --check

format: $(VENV)/.dev  ## repair what can be repaired without thinking
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(VENV)/.dev  ## write the generated pages anew
	$(BIN)/python tools/reference.py

bench: $(VENV)/.core  ## measure a small run (the real settings: bench/README.md)
	$(BIN)/python bench/download.py --rows 200 --rounds 1 --link ''

constraints: $(VENV)/.dev  ## resolve all dependencies anew
	$(BIN)/python tools/constraints.py

clean:  ## remove what was made here, but for .venv
	rm -rf build dist demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests tools bench examples -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "clipmill needs Python 3.11 or later: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "Making $(VENV) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/.core: $(VENV)/.pip pyproject.toml constraints.txt
	@echo "Installing clipmill into $(VENV) ..."
	@$(PIP) -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	@echo "Installing the extras and the developer's tools ..."
	@$(PIP) -e '.[$(EXTRAS)]' --group dev
	@$(BIN)/python tools/ffmpeg_libraries.py $(VENV)/ffmpeg
	@touch $@
