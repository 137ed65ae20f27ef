# `make help` lists the targets. Everything is installed into .venv, everything made is put into outputs.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
DEMO := outputs/demo
SOURCES := $(shell find colorization conf hydra_plugins -name '*.py' -o -name '*.yaml') train.py evaluate.py predict.py

.PHONY: help demo install test test-slow test-long test-gate test-all bench bench-compare docs lint typecheck format clean
.DELETE_ON_ERROR:

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | awk -F ':.*## ' '{ printf "make %-10s %s\n", $$1, $$2 }'

demo: $(DEMO)/gallery/panel.png  ## colour sample photos with the default model, then train a small network and score it
	@echo
	@echo "Coloured by the default model:"
	@echo "  $(CURDIR)/$(DEMO)/default"
	@echo "Coloured by the network that was just trained:"
	@echo "  $(CURDIR)/$(DEMO)/colorized"
	@echo "Its gallery (gray, coloured, true): six photos that it has learned, and last a cat that it has not."
	@echo "  $(CURDIR)/$(DEMO)/gallery/panel.png"

install: $(INSTALLED)  ## make the virtual environment .venv and install everything into it

test: $(INSTALLED)  ## run the tests, but for the slow ones
	$(BIN)/python -m pytest -m "not slow and not long"

test-slow: $(INSTALLED)  ## run the slow tests: signals and kills, processes, browsers, ONNX, the wheel
	$(BIN)/python -m pytest -m "slow and not long"

test-long: $(INSTALLED)  ## run the long tests, which the gate leaves out
	$(BIN)/python -m pytest -m long

test-gate: $(INSTALLED)  ## run all tests but the long ones, as the gate does
	$(BIN)/python -m pytest -m "not long"

test-all: test-gate test-long  ## run all tests

bench: $(INSTALLED)  ## measure the speed of colours, loader and predicting beside others', into outputs/bench.json
	$(BIN)/python -m benchmarks.speed
	$(BIN)/python -m benchmarks.cpu_training

bench-compare: $(INSTALLED)  ## the same beside an earlier run: make bench-compare EARLIER=bench-before.json
	$(BIN)/python -m benchmarks.speed --earlier $(EARLIER)

docs: $(INSTALLED)  ## bring the generated parts of the pages up to date, and build the site into outputs/site
	$(BIN)/python -m docs.generate
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "$(CURDIR)/outputs/site/index.html; with search: $(BIN)/python -m http.server --directory outputs/site"

lint: $(INSTALLED)  ## check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

typecheck: $(INSTALLED)  ## check types
	$(BIN)/mypy

format: $(INSTALLED)  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove the virtual environment and what the demo made
	rm -rf .venv $(DEMO)

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || \
	  { echo "Python 3.11, 3.12 or 3.13 is needed: name one with make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

$(DEMO)/default/.made: $(SOURCES) | $(INSTALLED)
	rm -rf $(DEMO)
	$(BIN)/python -m colorization.data.sample $(DEMO)/gray
	$(BIN)/python predict.py $(DEMO)/gray output=$(DEMO)/default
	@touch $@

$(DEMO)/train/checkpoints/best.ckpt: $(DEMO)/default/.made
	rm -rf $(DEMO)/train
	$(BIN)/python train.py experiment=quickstart hydra.run.dir=$(DEMO)/train
	@touch $@

$(DEMO)/gallery/panel.png: $(DEMO)/train/checkpoints/best.ckpt
	$(BIN)/python predict.py checkpoint=$< input=$(DEMO)/gray output=$(DEMO)/colorized overwrite=true
	$(BIN)/python evaluate.py checkpoint=$< data=sample split=all hydra.run.dir=$(DEMO)/gallery
