# The commands of this project. `make demo` and `make test` set up all that they need.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements.lock
NOTEBOOK := examples/notebooks/quickstart.ipynb
FRONTEND := $(wildcard labextension/src/*.ts* labextension/src/*/*.ts* labextension/style/* labextension/schema/*) labextension/package.json labextension/yarn.lock

.DEFAULT_GOAL := help
.PHONY: help demo lab test check frontend-check browser cluster soak bench lock clean

help: ## Say what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(BIN)/python:
	@tools/make_venv.sh "$(PYTHON)" "$(VENV)"

$(VENV)/.lab: $(BIN)/python pyproject.toml hatch_build.py $(LOCK) $(FRONTEND)
	@echo "Installing flyte-jupyter with its JupyterLab extension into $(VENV) ..."
	@$(BIN)/python -m pip install -q -c $(LOCK) -e '.[lab,examples]'
	@$(BIN)/python -m compileall -q flyte_jupyter # as pip does with what it copies: else each process would where Python may not write
	@touch $@

$(VENV)/.dev: $(VENV)/.lab
	@$(BIN)/python -m pip install -q -c $(LOCK) -e '.[lab,kubernetes,examples,test,check]'
	@touch $@

demo: $(VENV)/.lab ## Set up and run the quickstart notebook on the embedded control plane
	@$(BIN)/python tools/demo.py $(NOTEBOOK)

lab: $(VENV)/.lab ## Open JupyterLab on the quickstart notebook
	$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) $(NOTEBOOK)

browser:
	@tools/ensure_browser.sh

cluster: $(BIN)/python ## Make what the tests on a real Kubernetes need, once
	@nice -n 5 $(BIN)/python tools/build_cluster.py

check: $(VENV)/.dev frontend-check ## Lint, types and front-end checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

frontend-check: $(VENV)/.dev
	@tools/check_frontend.sh $(BIN)

WORKERS ?= 2

test: $(VENV)/.dev browser cluster check ## Set up what the tests need and pass them all (WORKERS at once)
	$(BIN)/python -m pytest -r fER -n $(WORKERS) --dist loadscope --no-loadscope-reorder

SEEDS ?= 10000
KILLS ?= 200

soak: $(VENV)/.dev ## Tell many more stories of faults than the tests do: hours (SEEDS, KILLS, FIRST)
	CORE_SEEDS=$(SEEDS) CORE_FIRST=$(or $(FIRST),0) $(BIN)/python -m pytest -o timeout=0 tests/core/test_core_simulation.py
	FLYTE_JUPYTER_SEEDS=$(SEEDS) FLYTE_JUPYTER_FIRST_SEED=$(or $(FIRST),0) $(BIN)/python -m pytest -o timeout=0 tests/engine/test_engine_simulation.py
	KUBERNETES_SEEDS=$(SEEDS) $(BIN)/python -m pytest -o timeout=0 tests/kubernetes/test_kubernetes_simulation.py
	FLYTE_JUPYTER_KILLS=$(KILLS) $(BIN)/python -m pytest tests/street/test_street_faults_kills.py

bench: $(VENV)/.dev ## Measure against peers, in one run
	$(BIN)/python -m benchmarks

lock: $(VENV)/.dev ## Write the versions that development uses
	$(BIN)/python -m pip freeze --exclude-editable | grep -v -i -E '^(flyte-jupyter|pip|setuptools)\b' > $(LOCK)

clean: ## Remove what was made here, data of runs apart
	rm -rf $(VENV) build dist labextension/lib labextension/node_modules flyte_jupyter/labextension
