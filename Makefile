# make run    set up, then learn the embedded default stream
# make test   set up, then every check there is
# make quick  as make test, without the slow tests
# make clean  remove what these have made

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RESULTS := runs/split-digits

# Each process of the test suite gets one thread: two that use two threads each slow one another down several times.
WORKERS ?= 2
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt

.PHONY: help run test quick lint clean
.DELETE_ON_ERROR:

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

run: $(VENV)/.installed
	$(BIN)/growmix run split-digits --out $(RESULTS) --overwrite
	@echo "Results: $(RESULTS) (metrics.json, events.jsonl, config.yaml, checkpoint/)"

test: lint
	$(ONE_THREAD) $(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal src tests tools

quick: lint
	$(ONE_THREAD) $(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal -m "not slow" src tests tools

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tools/plain_words.py src tools benchmarks

# The stamps are newer than what they depend on exactly when nothing is left to install.
$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo "growmix needs Python 3.10 or newer, but '$(PYTHON)' is" \
			"$$($(PYTHON) --version 2>&1 || true); call e.g.: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.created pyproject.toml constraints.txt
	@echo "Installing growmix into $(VENV) (the first time takes minutes: PyTorch is large)"
	$(INSTALL) --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.created pyproject.toml constraints.txt
	@echo "Installing growmix and its development tools into $(VENV) (the first time takes minutes: PyTorch is large)"
	$(INSTALL) --editable '.[dev]'
	@touch $(VENV)/.installed $@

clean:
	rm -rf $(VENV) $(RESULTS) .mypy_cache .ruff_cache .pytest_cache .hypothesis
