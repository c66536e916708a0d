# Needs Python 3.11 to 3.14 and nothing else; everything is installed into .venv.
PYTHON ?= python3
VEHICLES ?= 80
SEED ?= 31
SIGHTINGS ?= 1000000
UV_VERSION = 0.13.9
VENV = .venv
BIN = $(VENV)/bin
INSTALLED = $(VENV)/installed
# Where it is set, each of the many processes would compile all of Beam anew, for seconds.
unexport PYTHONDONTWRITEBYTECODE
# What goes into the image: for its Python and its system, with hashes, in the versions of requirements.txt.
LOCK_FOR_IMAGE = $(BIN)/uv pip compile --constraint requirements.txt --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
	--generate-hashes --no-header --no-annotate --quiet --output-file

.PHONY: demo test setup check format lock template image-steps schemas release bench bench-check engines clean

demo: setup  ## watch the whole system work on this machine
	@$(BIN)/python -m demo --vehicles $(VEHICLES) --seed $(SEED)

test: setup  ## unit, property, TestStream and end-to-end tests
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

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
	echo 'setuptools>=68' | $(LOCK_FOR_IMAGE) templates/requirements-build.txt -
	$(LOCK_FOR_IMAGE) templates/requirements.txt setup.py

template: setup  ## write the flex template's description of the options
	$(BIN)/python -m pipeline.flex_template templates/section_speed.json

image-steps: setup  ## do in a new environment what the image's build does; asks the package registry
	$(BIN)/python -m pytest -m registry tests/test_image_steps.py

schemas: setup  ## write the tables' schemas for terraform
	$(BIN)/python -m releases --schemas

release: setup  ## make what is here the release that later ones must be able to follow
	$(BIN)/python -m releases --release

bench: setup  ## measure the jobs on this machine, and what a user would pick instead; installs those into out/bench
	$(BIN)/python -m bench

bench-check: setup  ## fail if the bounded job has become slower, against a loop over json
	$(BIN)/python -m bench --check

engines: setup  ## prove that several engines give the same results, and what a killed worker costs
	$(BIN)/python -m engines --sightings $(SIGHTINGS) --seed $(SEED)

clean:  ## remove all that make made
	rm -rf $(VENV) out build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
