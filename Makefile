# `make book` builds the book, `make test` tests everything; both set up .venv by themselves.

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= $(shell $(PYTHON) -c "import os; print(min(8, os.cpu_count() + 1))")
NBVAL = --nbval --nbval-current-env --nbval-sanitize-with tests/nbval.cfg --nbval-cell-timeout 600
LINT = $(BIN)/ruff check && $(BIN)/ruff format --check && $(BIN)/codespell && \
	$(BIN)/python scripts/notebooks.py check && $(BIN)/python scripts/back_matter.py check
PARALLEL = -n $(WORKERS) --dist loadscope --no-loadscope-reorder

ifeq ($(OS),Windows_NT)
BIN = $(VENV)/Scripts
else
BIN = $(VENV)/bin
endif
SOURCES = $(wildcard assets/*) _config.yml _toc.yml package.json package-lock.json .npmrc \
	$(wildcard scripts/*.py mglib/*.py mglib/*/*.py) $(shell find book -type f -not -path '*/.ipynb_checkpoints/*' -not -path '*/__pycache__/*' 2>/dev/null)

# Chapters and tests run side by side: a thread each, or they wait for each other's threads, five times as long.
book test test-fast notebooks notebook: export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: federation fuzz help book html pdf test test-fast lint lock notebooks notebook chapter links bench clean

help: ## say what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

book: $(VENV)/.book-stamp ## execute the chapters that changed, side by side, and render the book into _build/html
	$(BIN)/python scripts/fetch_page_assets.py
	$(BIN)/python scripts/build_book.py
	@touch _build/html.stamp

html: _build/html.stamp ## render the book from the notebooks' committed outputs, which takes seconds
	@echo "The book lies in $(CURDIR)/_build/html/index.html"

_build/html.stamp: $(VENV)/.book-stamp $(SOURCES)
	$(BIN)/python scripts/fetch_page_assets.py
	$(BIN)/python scripts/build_book.py --no-execute
	@touch $@

pdf: $(VENV)/.test-stamp _build/html.stamp ## print the rendered book into _build/metagater-book.pdf, which needs Chromium
	$(BIN)/python scripts/make_pdf.py

test: $(VENV)/.test-stamp _build/html.stamp ## run the unit, property, browser and notebook tests, and lint
	@status=0; \
	$(BIN)/python -m pytest $(PARALLEL) $(NBVAL) tests book || status=1; \
	$(LINT) || status=1; \
	exit $$status

test-fast: $(VENV)/.test-stamp ## run what a developer waits for: the library's quick tests, without browser and notebooks
	$(BIN)/python -m pytest -q $(PARALLEL) -m "not slow and not browser and not realdata" tests/library

lint: $(VENV)/.test-stamp ## check style, spelling and that notebooks and back matter are as `make notebooks` leaves them
	@$(LINT)

notebooks: $(VENV)/.test-stamp ## format and re-execute the notebooks in place, write the pages made of them
	$(BIN)/ruff format book
	$(BIN)/python scripts/notebooks.py run
	$(BIN)/python scripts/back_matter.py write

lock: $(VENV)/.test-stamp ## bring requirements.lock up to date; LOCK_FLAGS=--upgrade takes the newest versions but of torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/python scripts/lock.py $(LOCK_FLAGS)

chapter: $(VENV)/.test-stamp ## write the skeleton of a new chapter: make chapter NAME=20_what_it_is_about
	$(if $(NAME),,$(error give it a name: make chapter NAME=20_what_it_is_about))
	$(BIN)/python scripts/new_chapter.py $(NAME)

links: $(VENV)/.book-stamp ## ask the places elsewhere that the book links to whether they are still there
	$(BIN)/python scripts/build_book.py --links

notebook: $(VENV)/.test-stamp ## format and re-execute one notebook: make notebook NAME=20_what_it_is_about
	$(if $(NAME),,$(error say which: make notebook NAME=20_what_it_is_about))
	$(BIN)/ruff format book/$(NAME).ipynb
	$(BIN)/python scripts/notebooks.py run book/$(NAME).ipynb
	$(BIN)/python scripts/back_matter.py write

bench: $(VENV)/.test-stamp ## time the library beside its peers into results/bench; an hour on a machine with nothing else to do
	@mkdir -p results/bench
	set -e; for what in meta-step target queries inference batches rounds scale; do \
		(cd book && OMP_WAIT_POLICY=passive $(abspath $(BIN))/python -m studies bench $$what --json) > results/bench/.$$what.part; \
		mv results/bench/.$$what.part results/bench/$$what.json; \
	done

fuzz: $(VENV)/.test-stamp ## give the public calls and commands INPUTS odd inputs (10000) drawn by SEED (0)
	MGLIB_FUZZ_INPUTS=$(or $(INPUTS),10000) MGLIB_FUZZ_SEED=$(or $(SEED),0) MGLIB_FUZZ_OUT=$(or $(OUT),results/fuzz.json) \
		$(BIN)/python -m pytest tests/library/test_fuzz.py

federation: $(VENV)/.test-stamp ## a superlink and two nodes as processes of their own on this machine, a training, a new node that adapts
	$(BIN)/python scripts/federation.py $(if $(IMAGES),--images $(IMAGES))

clean: ## remove what was built, but not the virtual environment
	rm -rf _build assets/vendor tests/node_modules

$(VENV)/bin/python $(VENV)/Scripts/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is missing or older than Python 3.11; name another one: make PYTHON=python3.12 $(MAKECMDGOALS)"; \
		exit 1; }
	$(PYTHON) -m venv $(VENV) || { \
		echo "no virtual environment could be made; on Debian and Ubuntu: apt-get install python3-venv"; \
		rm -rf $(VENV); exit 1; }

# The stamps make pip run again when the packages asked for have changed.
$(VENV)/.book-stamp: pyproject.toml requirements.lock | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e ".[book]"
	@touch $@

$(VENV)/.test-stamp: $(VENV)/.book-stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e ".[book,test]"
	@touch $@
