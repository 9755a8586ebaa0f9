# `make run` and `make test` set themselves up: Python 3.11 or newer and a C compiler
# are all that a machine needs.
PYTHON ?= python3
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
EXTRAS ?= dev
READY := $(VENV)/.ready-$(EXTRAS)
# A file's tests on one worker, in the order of tests/conftest.py.
WORKERS := --numprocesses auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

.PHONY: run test test-all test-cuda test-generic mutants lint benchmark reproduce clean
.DEFAULT_GOAL := run

$(READY): pyproject.toml constraints.txt
	@echo "Installing the packages of constraints.txt: minutes, once."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[$(EXTRAS)]"
	touch $@

# Seven solvers on data that ship with the dependencies; ends with the site's path.
run: $(READY)
	$(BIN)/python -m benchmark_bilevel run config/quick.yml
	$(BIN)/python -m benchmark_bilevel site build/quick outputs/quick.parquet

# Real data are tested where BENCHOPT_DATA_HOME has them (`benchopt prepare .`), dask,
# submitit and pages in a browser where the extras and Chromium are (`.ci/run`).
test: $(READY)
	PATH="$(BIN):$$PATH" python -m pytest $(WORKERS)

# Beside them what takes long: every solver in both runtimes on every kernel; an hour.
test-all: $(READY)
	PATH="$(BIN):$$PATH" python -m pytest $(WORKERS) -m "not cuda"

# The torch runtime on a GPU, where a CUDA build of torch finds one; minutes.
test-cuda: $(READY)
	PATH="$(BIN):$$PATH" python -m pytest -m cuda -rs tests/test_cuda.py

# The numerics for a processor without AVX and FMA.
GENERIC := kernels oracles samplers directions variance_reduction estimators hooks \
	runtimes exact selection sparse hypercleaning poisoning
test-generic: $(READY)
	PATH="$(BIN):$$PATH" NUMBA_CPU_NAME=generic NUMBA_CPU_FEATURES= python -m pytest \
		$(WORKERS) \
		$(GENERIC:%=tests/test_%.py)

# Random edits of the numerics that no test notices: half an hour.
mutants: $(READY)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[mutation]"
	nice $(BIN)/python benchmarks/mutants.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Iterations per second of seven solvers on five real problems, time and memory of exact
# evaluations and of a thousand iterations, cost against n, share of evaluation, start-up,
# compilation; an hour.
benchmark: $(READY)
	$(BIN)/python benchmarks/throughput.py
	$(BIN)/python benchmarks/reproductions.py resources
	$(BIN)/python benchmarks/scaling.py
	$(BIN)/python benchmarks/evaluation.py
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/compiling.py

# Published figures beside what is seen here: real data, one thread, a quarter of an hour.
reproduce: $(READY)
	OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(BIN)/python benchmarks/reproductions.py
	OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(BIN)/python benchmarks/relabelling.py
	OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(BIN)/python benchmarks/images.py

# --- results: from config/*.yml to tables, figures and pages ----------------------------

# Compared with a paper, not ranked: fewer seeds, or steps that were not searched.
REPRODUCED := $(basename $(notdir $(wildcard results/reproductions/*.parquet)))
CONFIGS := $(filter-out config/quick.yml $(REPRODUCED:%=config/%.yml),\
	$(wildcard config/*.yml))
RESULTS := $(CONFIGS:config/%.yml=results/%.parquet)
# Runs at a time: one a core, or they share the clock.
JOBS := 2
SITE := build/site
FIGURES := build/figures
README_FIGURE := results/ijcnn1.parquet results/hypercleaning.parquet \
    --format svg --layout 1x2 --width 8.4 --only "*-suboptimality-seconds"

.PHONY: results reproductions site figures small FORCE
.NOTPARALLEL:

# Always run, and answered from benchopt's cache where nothing has changed: an interrupted
# `make results` goes on where it was. A file is replaced only if no cell failed.
results: $(RESULTS)

results/%.parquet: config/%.yml $(READY) FORCE
	$(BIN)/python -m benchmark_bilevel results $< -j $(JOBS)

reproductions: $(REPRODUCED:%=results/reproductions/%.parquet)

results/reproductions/%.parquet: $(READY) FORCE
	$(BIN)/python -m benchmark_bilevel results -j $(JOBS) \
		$(wildcard config/$*.yml config/reproductions/$*.yml)

# Versions of the configurations that end in minutes, for tests.
small: $(READY)
	$(BIN)/python -m benchmark_bilevel small

site: $(READY)
	$(BIN)/python -m benchmark_bilevel site $(SITE)

# All figures as PDF for papers, and that of the README as SVG.
figures: $(READY)
	$(BIN)/python -m benchmark_bilevel figures $(FIGURES)
	$(BIN)/python -m benchmark_bilevel figures results/figures $(README_FIGURE)

clean:
	rm -rf $(VENV) __cache__ outputs build *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +
