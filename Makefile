# Every target sets up its own environment in .venv first; nothing needs to be installed by hand.
PYTHON ?= python3
BIN := .venv/bin
DEMO := runs/demo

.PHONY: demo test check bench quality docs clean

demo: .venv/done
	rm -rf $(DEMO)
	$(BIN)/isthmus train digits --code-size 8 --epochs 60 --out $(DEMO)
	$(BIN)/isthmus report $(DEMO)
	@echo "Open $(DEMO)/report.html in a browser."

test: .venv/dev
	$(BIN)/pytest

check: .venv/dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest

bench: .venv/dev .venv-peers/done
	$(BIN)/python benchmarks/speed.py --peers .venv-peers/bin/python
	$(BIN)/python benchmarks/quality.py --only fashion-2d-first faces-32-first

quality: .venv/dev
	$(BIN)/python benchmarks/quality.py
	$(BIN)/python benchmarks/quality.py --group denoise
	$(BIN)/python benchmarks/quality.py --group sooner --seeds 3
	$(BIN)/python benchmarks/quality.py --group noise-levels
	$(BIN)/python benchmarks/search.py

docs: .venv/dev
	$(BIN)/typer isthmus.cli utils docs --name isthmus --output docs/commands.md

clean:
	rm -rf .venv .venv-peers runs

.venv/done: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/dev: .venv/done
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

.venv-peers/done: benchmarks/peers/requirements.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --requirement benchmarks/peers/requirements.txt
	touch $@
