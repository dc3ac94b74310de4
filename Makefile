# `make demo` and `make test` set everything up by themselves. `make help` lists the rest.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
DEMO := build/demo
DEVICE ?= cpu
PACKAGES := align cache extract train
# Only its data loader is used, by tests: what else it would bring is gigabytes.
WITHOUT_DEPENDENCIES := MMSA==2.2.1
export PYTHONUNBUFFERED := 1

.PHONY: help demo test test-slow lint bench bench-align bench-cache bench-windows bench-extract bench-train bench-pretrain bench-planted bench-comparison bench-rivals demo-comparison docs lock clean

help:
	@echo "make demo       extract, align, pretrain, train and score on the demo clips (build/demo)"
	@echo "make test       ruff, mypy, and the tests"
	@echo "make test-slow  the tests that take minutes"
	@echo "make lint       ruff and mypy alone"
	@echo "make bench      all benchmarks; leave the machine idle meanwhile"
	@echo "make bench-align    word times against a person's, and against even spacing"
	@echo "make bench-cache    the cache at ten thousand, a hundred thousand and a million clips (ten minutes, 6 GB)"
	@echo "make bench-windows  how far windows over long clips change features (two minutes)"
	@echo "make bench-extract  extraction against the bare forward passes and a plain loop (fifteen minutes; DEVICE=cuda)"
	@echo "make bench-train    a training epoch against the same model on padded batches (three minutes; DEVICE=cuda)"
	@echo "make bench-pretrain pretraining at LibriSpeech-960's size against its matrix products (one minute; DEVICE=cuda; WHOLE=--whole)"
	@echo "make bench-planted  does the method do what it says? on data whose truth is planted; writes docs/planted.md's tables"
	@echo "make bench-comparison  all models on data whose truth is planted; writes docs/comparison.md's tables (long: 255 trainings; goes on where it was stopped)"
	@echo "make demo-comparison   all models on the demo's clips, after make demo; writes docs/comparison.md's table"
	@echo "make bench-rivals      a training epoch of each model against MMSA's own of the same name (minutes)"
	@echo "make docs       the documentation as a site, build/site/index.html"
	@echo "make lock       resolve the exact versions of requirements.lock anew"
	@echo "make clean      remove .venv and build"

$(READY): requirements.lock setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("SADGR needs Python 3.11 or newer; name one: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	@echo "Setting up .venv: some 80 packages, torch among them; a few minutes."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -r requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --editable . $(WITHOUT_DEPENDENCIES)
	touch $@

demo: $(READY)
	$(BIN)/sadgr-extract examples/demo/talking $(DEMO)/cache --dataset synthetic-demo --preset offline
	$(BIN)/sadgr-extract examples/demo/nasa_webb.mp4 $(DEMO)/cache --dataset nasa --preset offline
	$(BIN)/sadgr-cache info $(DEMO)/cache
	$(BIN)/sadgr-train pretrain $(DEMO)/cache $(DEMO)/heads --dataset synthetic-demo
	$(BIN)/sadgr-train fit $(DEMO)/cache $(DEMO)/run --dataset synthetic-demo --heads $(DEMO)/heads
	@echo "The clips of synthetic-demo are drawn and spoken by a script: these scores say nothing about MOSI. Figure: $(DEMO)/run/prediction.png"

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	mkdir -p .typecheck/sadgr
	for package in $(PACKAGES); do ln -sfn ../../$$package .typecheck/sadgr/$$package; done
	MYPYPATH=.typecheck $(BIN)/mypy -p sadgr

# Reports are tested in a real browser; its absence fails those tests, with the remedy.
.PHONY: browser
browser:
	@command -v chromium >/dev/null || test "$$(id -u)" != 0 || \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes chromium >/dev/null; }

test: lint browser
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile

test-slow: $(READY)
	$(BIN)/python -m pytest -m slow

bench: bench-align bench-cache bench-windows bench-extract bench-train bench-pretrain bench-rivals

bench-align: $(READY)
	$(BIN)/python benchmarks/alignment.py

bench-cache: $(READY)
	$(BIN)/python benchmarks/cache_speed.py

bench-windows: $(READY)
	$(BIN)/python benchmarks/windows.py

bench-extract: $(READY)
	$(BIN)/python benchmarks/extract_speed.py --device $(DEVICE)

bench-train: $(READY)
	$(BIN)/python benchmarks/train_speed.py --device $(DEVICE)

bench-pretrain: $(READY)
	$(BIN)/python benchmarks/pretrain_speed.py --device $(DEVICE) $(WHOLE)

bench-planted: $(READY)
	$(BIN)/python benchmarks/planted_report.py --docs

bench-comparison: $(READY)
	$(BIN)/python benchmarks/planted_comparison.py

bench-rivals: $(READY)
	$(BIN)/python benchmarks/rivals_speed.py

demo-comparison: $(READY)
	$(BIN)/sadgr-train compare $(DEMO)/cache $(DEMO)/compare --dataset synthetic-demo --heads $(DEMO)/heads
	$(BIN)/python benchmarks/comparison_table.py demo $(DEMO)/compare

# In an environment of its own: docstrings are read, not imported, so that torch is not needed.
docs: build/docs-venv/.ready
	mkdir -p .typecheck/sadgr
	for package in $(PACKAGES); do ln -sfn ../../$$package .typecheck/sadgr/$$package; done
	NO_MKDOCS_2_WARNING=1 build/docs-venv/bin/mkdocs build --strict --site-dir build/site

build/docs-venv/.ready: setup.cfg
	$(PYTHON) -m venv build/docs-venv
	$(PYTHON) -c 'import configparser as c; s = c.RawConfigParser(); s.read("setup.cfg"); print(s["options.extras_require"]["docs"])' \
	  > build/docs-venv/requirements.txt
	build/docs-venv/bin/python -m pip install --disable-pip-version-check --quiet --progress-bar off \
	  -r build/docs-venv/requirements.txt
	touch $@

# The lock is what a fresh environment resolves to; torch's local version tag (+cpu) is left out, so that the same
# lock takes the CPU or the CUDA build, whichever the index offers.
lock:
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --progress-bar off "torch==2.13.0" ".[dev,doors,g2p,offline]"
	( echo "# Exact versions, made by \`make lock\`; setup.cfg has the ranges."; \
	  build/lock/bin/python -m pip freeze --exclude sadgr | sed -e 's/^\(torch==[0-9.]*\)+.*/\1/' \
	    -e 's/^\(decord==.*\)/\1; sys_platform == "linux" and platform_machine == "x86_64"/' ) > requirements.lock
	rm -rf build/lock

clean:
	rm -rf .venv build .typecheck
