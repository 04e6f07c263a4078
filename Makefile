# `make bench PEER="CHECKOUT TOFU_FOLDER"` compares with the standard framework.
# `make demo` and `make test` set everything up: a virtual environment, pinned packages, then the run.
# TORCH_INDEX: a package index that serves the CPU build of PyTorch, where your default index would send the CUDA build, e.g.
#   make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
PYTHON ?= python3
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export OMP_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= PASSIVE
export THP_MEM_ALLOC_ENABLE ?= 1
export TOKENIZERS_PARALLELISM ?= false
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test check test-slow bench bench-tofu docs clean
.DEFAULT_GOAL := test

$(STAMP): pyproject.toml constraints.txt
	@echo "Setting up $(VENV) (about two minutes)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP_INSTALL) torch==2.13.0 $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	@$(PIP_INSTALL) -e '.[dev]'
	@touch $@

demo: $(STAMP)
	$(BIN)/expunge demo --out demo-run

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(STAMP)
	$(BIN)/ruff format --check src tests bench
	$(BIN)/ruff check src tests bench
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m expunge.app.docs --check docs

docs: $(STAMP)
	$(BIN)/python -m expunge.app.docs docs

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

bench: $(STAMP)
	$(BIN)/python -m bench $(PEER)

bench-tofu: $(STAMP)
	$(BIN)/expunge bench tofu --data ../shared/data/tofu --out runs/tofu

clean:
	rm -rf $(VENV) demo-run .pytest_cache .mypy_cache .ruff_cache
