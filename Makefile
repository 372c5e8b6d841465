# Two commands to begin with: `make demo` and `make test`. Each makes what it needs.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# A worker of 1.5 GB per core, each with one thread: networks of tests are too small for more.
PYTEST := -m pytest -q -n auto --maxprocesses 8 --dist loadfile
READY  := $(VENV)/.ready
PAGES  := README.md leaderboard/README.md $(wildcard docs/*.md)

.PHONY: demo test test-lowest audit-packages check bench nightly board clean

demo: $(READY)
	$(BIN)/clearbench demo

test: $(READY)
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python $(PYTEST) -m "not weights and not gpu and not slow"

# The same tests with the lowest allowed version of every dependency, in an environment of its own.
test-lowest: pyproject.toml
	$(PYTHON) -m venv .venv-lowest
	$(PYTHON) .ci/lowest.py > .venv-lowest/constraints.txt
	.venv-lowest/bin/python -m pip install --quiet -c .venv-lowest/constraints.txt -e ".[dev]"
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 .venv-lowest/bin/python $(PYTEST) -m "not weights and not gpu and not slow" \
	    -W "ignore::DeprecationWarning" -W "ignore::PendingDeprecationWarning"

# Known faults of the packages that are installed, from a database on the network.
audit-packages: $(READY)
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet pip-audit
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu//' > .venv-audit/installed.txt
	.venv-audit/bin/pip-audit --disable-pip --no-deps -r .venv-audit/installed.txt

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/cog --check $(PAGES)

bench: $(READY)
	$(BIN)/python benchmarks/reading.py -o benchmarks/reports/reading.md
	$(BIN)/python benchmarks/embedding.py -o benchmarks/reports/embedding.md
	$(BIN)/python benchmarks/memory.py -o benchmarks/reports/memory.md
	$(BIN)/python benchmarks/networks.py -o benchmarks/reports/networks.md
	$(BIN)/python benchmarks/heads.py -o benchmarks/reports/heads.md
	$(BIN)/python benchmarks/families.py -o benchmarks/reports/families.md
	$(BIN)/python benchmarks/newcomer.py -o benchmarks/reports/newcomer.md
	$(BIN)/python benchmarks/busy.py -o benchmarks/reports/busy.md

# What is too long for CI; its reports are committed.
nightly: $(READY)
	$(BIN)/python -m pytest -q -m "slow and not weights and not gpu"
	$(BIN)/python benchmarks/hostile.py -o benchmarks/reports/hostile.md
	$(BIN)/python benchmarks/faults.py -o benchmarks/reports/faults.md
	$(BIN)/python benchmarks/soak.py -o benchmarks/reports/soak.md
	$(BIN)/python .ci/licences.py -o docs/licences.md
	$(BIN)/python benchmarks/precision.py -o benchmarks/reports/precision.md
	$(BIN)/python benchmarks/head_recipe.py -o benchmarks/reports/head_recipe.md
	$(BIN)/python benchmarks/recipe_ct_ich.py -o benchmarks/reports/recipe_ct_ich.md
	$(BIN)/python benchmarks/comparisons.py -o benchmarks/reports/comparisons.md
	$(BIN)/python benchmarks/protocol.py -o benchmarks/reports/protocol.md
	$(BIN)/python benchmarks/perfect.py -o benchmarks/reports/perfect.md
	$(BIN)/python benchmarks/attention.py -o benchmarks/reports/attention.md
	$(BIN)/python benchmarks/lecl.py -o benchmarks/reports/lecl.md

# Generated parts of the README and the leaderboard, made fresh.
board: $(READY)
	$(BIN)/cog -r $(PAGES)
	$(BIN)/python docs/pictures/leaderboard.py

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) .venv-lowest clearbench-demo clearbench-store dist build
