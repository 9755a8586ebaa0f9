# `make run` and `make test` set themselves up: Python 3.11 or newer and a C compiler
# are all that a machine needs.
PYTHON ?= python3
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
READY := $(VENV)/.ready
OUTPUTS := outputs

.PHONY: run test lint benchmark clean
.DEFAULT_GOAL := run

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

# Every solver on data that ship with the dependencies; ends with the page's path.
run: $(READY)
	PATH="$(BIN):$$PATH" benchopt run . --config config/quick.yml --no-display
	@ls -t $(CURDIR)/$(OUTPUTS)/benchmark_bilevel_quick*.html | head -n 1

# Real data are tested where BENCHOPT_DATA_HOME has them (`benchopt prepare .`).
test: $(READY)
	PATH="$(BIN):$$PATH" python -m pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean:
	rm -rf $(VENV) __cache__ $(OUTPUTS) build *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +
