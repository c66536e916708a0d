# Needs Python 3.11 to 3.14 and nothing else; everything is installed into .venv.
PYTHON ?= python3
VEHICLES ?= 80
SEED ?= 58
UV_VERSION = 0.13.9
VENV = .venv
BIN = $(VENV)/bin
INSTALLED = $(VENV)/installed

.PHONY: demo test setup check format lock schemas release bench clean

demo: setup  ## watch the whole system work on this machine
	@$(BIN)/python -m demo --vehicles $(VEHICLES) --seed $(SEED)

test: setup  ## unit, property, TestStream and end-to-end tests
	$(BIN)/python -m pytest

setup: $(INSTALLED)  ## make .venv with everything pinned in requirements.txt

$(INSTALLED): requirements.txt setup.py
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' || \
		{ echo "make: $(PYTHON) is `$(PYTHON) -V`; allowed: Python 3.11 to 3.14. Run make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --requirements requirements.txt
	@touch $@

check: setup  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: setup  ## pin what setup.py allows
	$(BIN)/uv pip compile setup.py --all-extras --universal --python-version 3.11 --no-header --no-annotate --quiet --output-file requirements.txt

schemas: setup  ## write the tables' schemas for terraform
	$(BIN)/python -m releases --schemas

release: setup  ## make what is here the release that later ones must be able to follow
	$(BIN)/python -m releases --release

bench: setup  ## measure the bounded and the streaming job on this machine
	$(BIN)/python -m bench

clean:  ## remove all that make made
	rm -rf $(VENV) out build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
