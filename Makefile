# `make demo` installs and runs the demo; `make test` installs and runs the tests.
# PYTHON=/path/to/python3.12 takes this one; else `envs/make_venv` looks for one that fits.
PYTHON ?=
# e.g. PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu" without a GPU
PIP_ARGS ?=
# pip, or uv: `make INSTALLER=uv`. Where no Python fits, an installed uv brings one, to pip too.
INSTALLER ?= pip
BIN := .venv/bin
# Python compiles what it imports when it first does, which must be kept; to compile all takes longer than to unpack it.
export PYTHONDONTWRITEBYTECODE :=
pip_install = $(BIN)/python -m pip install --quiet --no-compile $(PIP_ARGS)
uv_install = uv pip install --quiet --python $(BIN)/python $(PIP_ARGS)

.PHONY: install demo test bench gpu lint docs clean

install: .venv/installed .venv/installed-dev

.venv/installed: requirements.txt pyproject.toml
	@envs/make_venv $(PYTHON)
	$($(INSTALLER)_install) -r requirements.txt -e .
	touch $@

# The demo needs none of these.
.venv/installed-dev: requirements-dev.txt .venv/installed
	$($(INSTALLER)_install) -r requirements-dev.txt
	touch $@

demo: .venv/installed
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

docs: install
	$($(INSTALLER)_install) -r requirements-docs.txt
	$(BIN)/mkdocs build --strict

clean:
	rm -rf .venv results/demo results/site resources/demo
