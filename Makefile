# Every target sets up its own environment in .venv first; nothing needs to be installed by hand.
PYTHON ?= python3
BIN := .venv/bin
DEMO := runs/demo
# Modules are compiled once, also where Python is told not to keep that: each of the many programs
# that the tests start would compile torch and all else that it imports again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test quick check checked static python types distributions soak wheel bench quality docs lock clean

demo: .venv/done
	rm -rf $(DEMO)
	$(BIN)/isthmus train digits --code-size 8 --out $(DEMO)
	$(BIN)/isthmus report $(DEMO)
	$(BIN)/isthmus studio $(DEMO) --map tsne --export $(DEMO)/studio.html
	@echo "Open $(DEMO)/report.html and $(DEMO)/studio.html in a browser."
	@echo "Live, with more maps and your own pictures: $(BIN)/isthmus studio $(DEMO)"

# Tests of one file share what they train, so a worker keeps neighboring tests until others are idle.
# A third one for two cores computes while browsers and started programs are waited for; and threads
# that wait for each other leave the cores to it.
TESTS := OMP_WAIT_POLICY=passive $(BIN)/pytest --numprocesses 3 --dist worksteal

test: .venv/dev
	$(TESTS)

quick: .venv/dev
	$(TESTS) -m "not slow"

# Three jobs for two cores: what is read by one tool after the other, and then the tests; and two
# that wait for the network, the types of the page and the distributions.
check: .venv/dev
	$(MAKE) --jobs 3 --output-sync=target checked types distributions

checked: python
	$(TESTS)

static: python types

python: .venv/dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/mypy benchmarks/studio.py
	$(BIN)/lint-imports

distributions: .venv/dev
	$(BIN)/python tests/wheel.py --quick

# The page of the studio has no build step; where Node is, the types in its comments are checked.
types:
	@if command -v npm >/dev/null; then \
	  mkdir -p .cache/node && cp tests/studio/package.json .cache/node && \
	  npm install --prefix .cache/node --no-audit --no-fund --no-package-lock --loglevel error && \
	  .cache/node/node_modules/.bin/tsc --project tests/studio/tsconfig.json; \
	else echo "The types of the studio's page were not checked: npm is not installed."; fi

# Kills, power cuts, full disks, damaged and hostile files, at random; see docs/reliability.md.
MINUTES ?= 60
SEED ?= 1
REPEAT ?=
SOAK ?=
soak: .venv/dev
	PYTHONPATH=tests $(BIN)/python -m soak --minutes $(MINUTES) --seed $(SEED) $(if $(REPEAT),--repeat "$(REPEAT)") $(SOAK)

# Builds the distributions and uses them in an empty environment, which takes a minute or two.
wheel: .venv/dev
	$(BIN)/python tests/wheel.py --keep dist

bench: .venv/dev .venv-peers/done
	$(BIN)/python benchmarks/speed.py --peers .venv-peers/bin/python
	$(BIN)/python benchmarks/quality.py --only fashion-2d-first faces-32-first

quality: .venv/dev
	$(BIN)/python benchmarks/quality.py
	for group in denoise noise-levels classify; do $(BIN)/python benchmarks/quality.py --group $$group; done
	for group in faster precision alexnet streets few-labels; do $(BIN)/python benchmarks/quality.py --group $$group --seeds 3; done
	$(BIN)/python benchmarks/search.py

docs: .venv/dev
	$(BIN)/typer isthmus.cli utils docs --name isthmus --output docs/commands.md
	$(BIN)/python docs/reading.py
	$(BIN)/python docs/pages.py
	$(BIN)/python docs/pictures.py
	$(BIN)/zensical build --strict
	@echo "Open site/index.html in a browser."

# Takes newer versions of all that is locked; with KEEP=--keep changes only what it must.
lock:
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet uv
	.venv-lock/bin/python requirements/lock.py $(KEEP)

clean:
	rm -rf .venv .venv-lock .venv-peers .cache build dist runs site

# Whatever is installed is locked, with the checksum of each file; see requirements/lock.py. Of
# PyTorch the small build is taken, where pip knows a place that has one.
# Compiling all of torch takes as long as installing it, and little of it is used.
INSTALL := $(BIN)/python -m pip install --quiet --no-deps --no-compile
LOCKED := $(INSTALL) --require-hashes --requirement requirements

.venv/done: pyproject.toml requirements/run.txt requirements/torch.txt requirements/torch-cpu.txt
	$(PYTHON) -m venv .venv
	$(LOCKED)/torch-cpu.txt 2>/dev/null || $(LOCKED)/torch.txt
	$(LOCKED)/run.txt
	$(INSTALL) --no-build-isolation --editable .
	touch $@

.venv/dev: .venv/done requirements/dev.txt
	$(LOCKED)/dev.txt
	touch $@

.venv-peers/done: benchmarks/peers/requirements.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --requirement benchmarks/peers/requirements.txt
	touch $@
