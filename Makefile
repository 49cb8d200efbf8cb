# Two commands for a newcomer: `make demo` and `make test`. Each installs what it needs; a second run finds it there.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# PyPI's torch for Linux brings gigabytes of CUDA: the CPU build is asked for first, by its own index.
TORCH := $(shell sed -n 's/^torch==//p' constraints.txt)
CPU_INDEX ?= https://download.pytorch.org/whl/cpu
# Several test processes share the cores: one thread each, or they wait for one another.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1
WORKERS ?= 2

.PHONY: install demo test browser plugin lint faults claims bench evidence table page docs resolve clean

install: $(INSTALLED)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --upgrade --constraint constraints.txt pip setuptools wheel
	$(BIN)/python -m pip install --quiet --retries 0 --extra-index-url $(CPU_INDEX) "torch==$(TORCH)+cpu" 2>/dev/null \
	  || $(BIN)/python -m pip install --quiet "torch==$(TORCH)"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dev --editable .
	touch $@

demo: install
	mkdir -p demo
	$(BIN)/semblance fit digits --out demo/digits.space --overwrite --neighbours demo/neighbours.png

test: install browser lint
	rm -f .coverage .coverage.*
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --cov --cov-report=term:skip-covered \
	  --cov-fail-under=90
	$(MAKE) plugin

# What the tests of the page look through: the system's Chromium. Where it cannot be installed they skip, and name this command.
browser:
	@for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exit 0; done; \
	  apt-get install -y chromium || echo "the tests of the page will be skipped: apt-get install -y chromium"

# The example package's own tests. It is installed aside, so that ours do not see it.
plugin: install
	rm -rf build/plugin && mkdir -p build/plugin
	cp -r examples/plugin build/plugin/source
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --target build/plugin/site build/plugin/source
	cd examples/plugin && PYTHONPATH=$(CURDIR)/build/plugin/site $(ONE_THREAD) $(CURDIR)/$(BIN)/python -m pytest -q -c pyproject.toml

lint: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# The long form of the tests that kill, fill the disk, interrupt and change at random.
faults: install
	SEMBLANCE_KILLS=50 $(ONE_THREAD) $(BIN)/python -m pytest tests/space/test_fit.py
	SEMBLANCE_KILLS=200 SEMBLANCE_CLUSTER_KILLS=30 SEMBLANCE_SEQUENCES=10000 SEMBLANCE_PROCESSORS=all \
	  $(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) tests/faults \
	  tests/memory/test_random_changes.py tests/memory/test_filtered_changes.py tests/memory/fused/test_kernels.py

# Every claim and its sabotaged twin; STALE=1 runs only what changed. Goes on after a failure and ends with docs/EVIDENCE.md.
claims: install
	$(BIN)/python -m semblance.claims.ledger all $(if $(STALE),--stale)

evidence: install
	$(BIN)/python -m semblance.claims.evidence

# The tables that are generated from the code.
table: install
	$(BIN)/python -m semblance.recipes.registry

# The page of `semblance serve`, from its TypeScript: needs node, which nobody needs to use it.
page:
	cd explorer && npm ci --no-audit --no-fund && npm run build

# The site: guides, notebooks and the API. A warning or a lost link is an error.
docs: install
	$(ONE_THREAD) $(BIN)/python docs/build.py site

# Whether the dependencies resolve for other Pythons and systems, by uv; the result goes into docs/support.md.
resolve: install
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/python .ci/resolve.py --write

# Every benchmark in turn; results go to bench/results/.
bench: install
	set -e; for script in $(filter-out bench/harness.py,$(sort $(wildcard bench/*.py bench/*/*.py))); do \
	  $(BIN)/python $$script; done

clean:
	rm -rf demo build site .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
