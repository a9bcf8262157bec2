# make run      train CartPole with a parameter server, a replay service and two learners
# make test     the whole suite, with real processes and a real store
# make help     the rest
PYTHON ?= python3
VENV := .venv
PEERS := .venv-peers
REVERB := .venv-reverb
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
REVISION = $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
IMAGES ?= service learner
TAG ?= $(VERSION)

.PHONY: help run test prometheus test-learning test-cluster images lint format type generate bench bench-peers clean
.DEFAULT_GOAL := help

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

run: $(VENV)/.run  ## train CartPole-v1 with 2 learners on this machine
	$(BIN)/adql train --env CartPole-v1 --learners 2

test: $(VENV)/.dev | prometheus  ## run the whole test suite
	$(BIN)/python -m pytest

# Tests of dashboards and alerts ask a real Prometheus. Who may not install it is told by them how to get it.
prometheus:
	@command -v promtool >/dev/null || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || \
	  { apt-get update -qq && apt-get install -y -qq --no-install-recommends prometheus; }

test-learning: $(VENV)/.dev  ## learn every rule on every seed, and with 8 learners
	$(BIN)/python -m pytest -m learning --all-seeds --timeout 3600

test-cluster: $(VENV)/.dev  ## test compose and the chart, with the cluster of KUBECONFIG and the engine of DOCKER_HOST
	$(BIN)/python -m pytest tests/cluster --cluster --timeout 900

images:  ## build adql/service and adql/learner; IMAGES=learner-torch is the learner with PyTorch
	for image in $(IMAGES); do \
	  docker build --file docker/Dockerfile --target $$image --tag adql/$$image:$(TAG) \
	    --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) $(BUILD_FLAGS) . || exit 1; \
	done

lint: $(VENV)/.dev  ## check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/hadolint docker/Dockerfile

format: $(VENV)/.dev  ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

type: $(VENV)/.dev  ## check types
	$(BIN)/mypy

generate: $(VENV)/.dev  ## write the files that are made from others: the chart's schema and table, dashboards, alerts
	$(BIN)/python -m tools.chart
	$(BIN)/python -m tools.dashboards

bench: $(VENV)/.dev  ## measure; one JSON line a case
	for bench in tests/bench/bench_*.py; do $(BIN)/python -m tests.bench.$$(basename $$bench .py) || exit 1; done

bench-peers: $(PEERS)/.done $(REVERB)/.done  ## replay beside dm-reverb, then the races with SB3, sbx and a single file, for hours; goes on where it stopped
	$(PEERS)/bin/python -m tests.bench.reverb $(REVERB)/bin/python
	$(PEERS)/bin/python -m tests.bench.peers
	$(PEERS)/bin/python -m tests.bench.peers.report --plot docs/images/peers.png

clean:  ## remove what was installed and cached, keep runs/
	rm -rf $(VENV) $(PEERS) $(REVERB) .bootstrap .mypy_cache .ruff_cache .pytest_cache .hypothesis

# A bare Debian has Python without the venv module; virtualenv makes the same folder then.
$(BIN)/python $(PEERS)/bin/python $(REVERB)/bin/python:
	@$(PYTHON) -m venv $(@:%/bin/python=%) >/dev/null 2>&1 || { \
	  rm -rf $(@:%/bin/python=%); \
	  $(PYTHON) -m pip install --quiet --disable-pip-version-check --target .bootstrap virtualenv && \
	  PYTHONPATH=.bootstrap $(PYTHON) -m virtualenv --quiet $(@:%/bin/python=%); }

$(VENV)/.run: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --constraint constraints.txt --editable '.[dev]'
	@touch $@ $(VENV)/.run

$(PEERS)/.done: pyproject.toml constraints.txt | $(PEERS)/bin/python
	$(PEERS)/bin/python -m pip --quiet --disable-pip-version-check install --constraint constraints.txt --editable '.[peers]'
	@touch $@

$(REVERB)/.done: tests/bench/reverb/requirements.txt | $(REVERB)/bin/python
	$(REVERB)/bin/python -m pip --quiet --disable-pip-version-check install --requirement $<
	@touch $@
