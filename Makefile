# `make demo` installs and runs the demo; `make test` installs and runs the tests.
PYTHON ?= python3
# e.g. PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu" without a GPU
PIP_ARGS ?=
BIN := .venv/bin

.PHONY: install demo test bench gpu lint clean

install: .venv/installed

.venv/installed: requirements.txt requirements-dev.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet $(PIP_ARGS) torch==$(shell sed -n 's/^torch==//p' requirements.txt)
	$(BIN)/pip install --quiet $(PIP_ARGS) -r requirements.txt -r requirements-dev.txt -e .
	touch $@

demo: install
	$(BIN)/snakemake --quiet host reason
	@echo
	@cat results/demo/tables/quality.md
	@echo "Open results/demo/report.html in a browser."

test: install
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

bench: install
	$(BIN)/python bench/metrics.py
	$(BIN)/python bench/training.py
	$(BIN)/python bench/reconstruction.py
	$(BIN)/python bench/coordinates.py
	$(BIN)/python bench/stacks.py

gpu: install
	$(BIN)/python bench/gpu.py --out results/gpu

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow examples
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/snakemake --lint

clean:
	rm -rf .venv results/demo resources/demo
