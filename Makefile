# make pilot: demonstrations to a verdict.  make test, make slow: what CI runs.  See CONTRIBUTING.md.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help pilot curves test slow study fix golden clean

VENV ?= .venv
BIN := $(VENV)/bin
# Any Python from 3.11 on; `make PYTHON=/path/to/python3.12 pilot` chooses another one.
PYTHON ?= $(firstword $(foreach name,python3 python3.11 python3.12 python3.13,$(shell \
	$(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $(name))))
# More arguments for `vertebra pilot`, or for pytest in `make test` and `make slow`.
ARGS ?=

help:
	@echo 'make pilot    make demonstrations, train, evaluate; prints the path of report.html last'
	@echo 'make curves   success over demonstrations with prior, scratch and shuffled backbones; hours'
	@echo 'make test     format, lint, types, layers, fast tests'
	@echo 'make slow     tests that train'
	@echo 'make study    how often the verdict is wrong, on synthetic pilots; writes docs/study.md'
	@echo 'make fix      format, and write generated text anew'
	@echo 'make golden   write golden files anew (say why in the commit)'
	@echo 'make clean    remove the virtual environment'
	@echo "ARGS='...' is passed on, for example: make pilot ARGS='--seeds 1 --out runs/try'"

# Setting up is done once: each stamp is newer than what it was made from.
$(BIN)/python:
	@test -n "$(PYTHON)" || { echo 'No Python >= 3.11 was found as python3, python3.11, python3.12 or' \
		'python3.13. Install one, or name it: make PYTHON=/path/to/python $(MAKECMDGOALS)'; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.pilot: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check -e '.[pilot]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check -e '.[dev]'
	@touch $(VENV)/.pilot $@

pilot: $(VENV)/.pilot
	@$(BIN)/vertebra pilot $(ARGS)

test: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(BIN)/pytest -m 'not slow' -n 2 $(ARGS)

slow: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/pytest -m slow -n 2 $(ARGS)

# Hours on two cores; every pilot resumes. Figures go to docs/experiments/priors.md.
curves: $(VENV)/.pilot
	for start in prior scratch shuffled; do \
		$(BIN)/vertebra pilot --recipes all-four --backbone $$start --demos 50 200 800 2000 \
			--out runs/curves-$$start $(ARGS); \
	done

study: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m vertebra.study docs/study.md

fix: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python -m vertebra.recipes.table README.md
	$(BIN)/python -m vertebra.recipes.evidence docs/evidence.json docs/evidence.md
	$(BIN)/python -m vertebra.planner.page docs/planner.md
	$(BIN)/python -m vertebra.recipes.pairs_page docs/pairs.md

golden: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/golden --update-golden $(ARGS)

clean:
	rm -rf $(VENV)
