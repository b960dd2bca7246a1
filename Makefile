# Every target sets up what it needs: on a machine with Python >= 3.11 and make, `make run` and `make test` just work.
#
#   PYTHON=python3.13   which Python; each minor version has an environment of its own, .venv-3.13
#   ARGS='...'          passed on to the command (a page's options, pytest's options)
#   PAGE=...            which page `make run` runs
#   EXTRA=cuda13        `make run` or `make bench-accelerator` on an NVIDIA GPU (or EXTRA=tpu)
#   WORKERS=2           how many processes run the tests

PYTHON  ?= python3
PAGE    ?= experiments/freq_principle.py
WORKERS ?= 2
EXTRA   ?=
ARGS    ?=

VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
RECENT  := $(shell $(PYTHON) -c 'import sys; print(sys.version_info >= (3, 11))' 2>/dev/null)
VENV    := .venv-$(VERSION)
BIN     := $(VENV)/bin
PEERS   := .venv-peers-$(VERSION)

# A stamp is younger than what it was installed from, so a second call starts at once.
RUNTIME := $(VENV)/.installed$(if $(EXTRA),-$(EXTRA))
DEV     := $(VENV)/.installed-dev
BROWSER := $(VENV)/.installed-browser
STORAGE := $(VENV)/.installed-storage
PINS    := pyproject.toml constraints.txt
# Errors only: a machine's own package mirrors can otherwise print a warning for every package. Python compiles what is
# imported when it is, which is a small part of what is installed.
PIP     := $(BIN)/python -m pip -qq --disable-pip-version-check install --no-compile -c constraints.txt

# Whatever environment make is called from, only ours counts. Without bytecode files every process, and so every command
# that a test starts, would compile its imports again, which takes three times as long as importing them.
unexport PYTHONHOME PYTHONPATH VIRTUAL_ENV PIP_USER PIP_TARGET PIP_PREFIX PYTHONDONTWRITEBYTECODE
# pyright comes pinned: it need not tell us of newer ones.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help run answers test test-core test-newest test-all test-browser test-faults test-faults-all lint format env bench bench-flags bench-quick bench-scaling bench-accelerator bench-waiting bench-data bench-own-code bench-growth bench-cluster bench-report agreement clean

help: ## print this list
	@echo "usage: make TARGET [PYTHON=python3.13] [ARGS='...']"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' Makefile | awk -F'|' '{ printf "%-12s %s\n", $$1, $$2 }'

run: $(RUNTIME) ## run a page (PAGE=..., default the frequency principle); ARGS='--smoke' for a toy size
	$(BIN)/python -m sweep.run $(PAGE) $(ARGS)

# Complete stores are drawn again and not trained; ARGS=--fresh trains all anew (half an hour on two cores).
QUESTIONS := $(sort $(wildcard experiments/questions/*.py))
STORES     = $(QUESTIONS:experiments/%.py=results/%) $(wildcard results/questions/*@full results/questions/*-full)

answers: $(RUNTIME) ## run the pages of the five questions, decide their claims, rebuild docs/answers.md; ARGS=--fresh
	@for page in $(QUESTIONS); do $(BIN)/python -m sweep.run $$page $(or $(ARGS),--resume) || exit; done
	$(BIN)/python -m sweep.claims $(STORES) --out docs/claims.json --answers docs/answers.md

# Most tests compile a tiny program and run it for a moment, so XLA need not optimise it. What XLA does to a program when
# it does, the core tests see, and all tests in `make test-all`. Not every version of XLA knows the second flag.
EMITTER = --xla_cpu_use_fusion_emitters=false
READS   = $(BIN)/python -c 'from jaxlib import xla_client; xla_client.CompileOptions()' 2>/dev/null
QUICK   = flags="$$XLA_FLAGS --xla_backend_optimization_level=0"; \
	if XLA_FLAGS=$(EMITTER) $(READS); then flags="$$flags $(EMITTER)"; fi; XLA_FLAGS="$$flags"
REST    = not core and not slow and not browser and not faults
# 5 is pytest's word for "no test collected", which make alone would not explain.
PYTEST = JAX_PLATFORMS=cpu $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
EXPLAIN = || { code=$$?; [ $$code -ne 5 ] || echo "make $@: no test was selected, so nothing was tested" >&2; exit $$code; }

test: $(STORAGE) $(if $(ARGS),,test-core) ## run the tests except the slow ones; ARGS='tests/page/test_axes.py' for some
	@$(if $(ARGS),$(PYTEST) $(ARGS),$(QUICK) $(PYTEST) -m "$(REST)") $(EXPLAIN)

# Only files that have such tests are read: reading all takes each worker as long as a sixth of these tests.
CORE = $$(grep -rl --include='test_*.py' 'pytest\.mark\.core' tests)

test-core: $(DEV) ## run a few minutes' subset of these
	@$(PYTEST) -m "core and not slow" $(or $(ARGS),$(CORE)) $(EXPLAIN)

test-newest: $(DEV) ## run what of that subset may depend on the Python
	@$(PYTEST) -m "core and not optimised and not slow" $(or $(ARGS),$(CORE)) $(EXPLAIN)

test-all: $(STORAGE) ## run all tests but those of `make test-faults`
	@$(PYTEST) -m "not faults" $(ARGS) $(EXPLAIN)

# Debian's browser, never a download; a machine without it that lets us install packages gets it.
CHROMIUM = command -v chromium >/dev/null || { apt-get -qq update && apt-get -qq -y install chromium; } >/dev/null 2>&1
NO_CHROMIUM = { echo "make $@: there is no chromium here and apt-get could not install it: install it first" >&2; exit 1; }

test-browser: $(BROWSER) ## read the report in a real, headless Chromium
	@$(CHROMIUM) || $(NO_CHROMIUM)
	@JAX_PLATFORMS=cpu $(BIN)/python -m pytest -n $(WORKERS) -m browser tests/report $(ARGS) $(EXPLAIN)

test-faults: $(STORAGE) ## damage, kill and interrupt: a seeded sample, under 20 minutes on two cores
	@$(PYTEST) --dist load -m faults tests/faults $(ARGS) $(EXPLAIN)

test-faults-all: $(STORAGE) ## ... everything, for hours; counts and faults are kept in faults.json
	@JAX_PLATFORMS=cpu $(BIN)/python -m tests.faults --all --json faults.json $(ARGS)

lint: $(DEV) ## check style, format and types; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(DEV) ## put the code into the one format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(RUNTIME) $(PEERS)/.installed ## time the same work for sweep and for PyTorch, Keras and plain JAX; ARGS='--cases mixed'
	$(BIN)/python -m benchmarks.compare --peers $(PEERS)/bin/python $(ARGS)

bench-scaling: $(RUNTIME) ## measure cost, memory and time of 65,536 lanes, of a million, of stopped sweeps and of `make run`
	$(BIN)/python -m benchmarks.scaling $(ARGS)

bench-accelerator: $(RUNTIME) $(DEV) ## check and measure sweep on this machine's accelerator, under 8 minutes; ARGS='--small' for a try on CPU
	$(BIN)/python -m benchmarks.accelerator $(ARGS)

bench-waiting: $(RUNTIME) ## measure what users wait for beside the steps: starting, compiling, drawing, and what --plan says of it
	$(BIN)/python -m benchmarks.waiting $(ARGS)

bench-data: $(RUNTIME) ## measure data of one's own against the same by hand, their memory, and optimisers of one's own; two minutes
	JAX_PLATFORMS=cpu $(BIN)/python -m benchmarks.own_data $(ARGS)

bench-own-code: $(DEV) ## measure modules and trainings of one's own against the same by hand, and a page that groks; three minutes
	JAX_PLATFORMS=cpu $(BIN)/python -m benchmarks.own_code $(ARGS)

bench-growth: $(RUNTIME) ## measure growing by one seed of eight, and the opening of a grown store of 10^5 lanes; five minutes
	JAX_PLATFORMS=cpu $(BIN)/python -m benchmarks.growth $(ARGS)

bench-cluster: $(DEV) ## measure sweeps on Ray against one process, and simulate clusters of up to 1,000 workers; six minutes
	JAX_PLATFORMS=cpu $(BIN)/python -m benchmarks.cluster $(ARGS)

bench-report: $(BROWSER) ## measure how fast a report of 10^5 cells opens and answers in a real browser; half a minute
	@$(CHROMIUM) || $(NO_CHROMIUM)
	JAX_PLATFORMS=cpu $(BIN)/python -m benchmarks.large_report $(ARGS)

bench-flags: $(RUNTIME) ## measure what options of XLA do to the training program on CPU; five minutes
	JAX_PLATFORMS=cpu $(BIN)/python -m benchmarks.flags $(ARGS)

bench-quick: $(RUNTIME) ## a small one against plain JAX alone, in under a minute
	$(BIN)/python -m benchmarks.compare --quick $(ARGS)

agreement: $(RUNTIME) $(PEERS)/.installed ## compare loss curves with what was asked about, in Keras and PyTorch itself
	$(BIN)/python -m benchmarks.agreement --peers $(PEERS)/bin/python $(ARGS)

env: $(DEV) ## only set up the environment with the development tools

clean: ## remove environments, builds and caches; results/ stays
	rm -rf .venv-*/ build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# pip is the last thing that venv puts there, so its presence says that the environment is whole.
$(BIN)/pip:
	$(if $(filter True,$(RECENT)),,$(error sweep needs Python 3.11 or newer, but PYTHON=$(PYTHON) is $(or $(VERSION),not there); try make $(MAKECMDGOALS) PYTHON=python3.13))
	$(PYTHON) -m venv $(VENV)

# What sweep is compared with is no dependency of it, so it has an environment of its own.
$(PEERS)/.installed: benchmarks/peers.txt
	@echo "installing what sweep is compared with into $(PEERS) (the first time takes some minutes)"
	@$(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip -qq --disable-pip-version-check install -r $<
	@touch $@

$(RUNTIME): $(BIN)/pip $(PINS)
	$(if $(filter-out cuda13 tpu,$(EXTRA)),$(error EXTRA=$(EXTRA) is not known; it is cuda13 or tpu))
	@echo "installing sweep into $(VENV) (the first time takes a minute or two)"
	@$(PIP) -e ".$(if $(EXTRA),[$(EXTRA)])"
	@touch $@

# The development tools come on top of the runtime, so they settle both stamps.
$(DEV): $(BIN)/pip $(PINS)
	@echo "installing sweep and its development tools into $(VENV) (the first time takes a minute or two)"
	@$(PIP) -e ".[dev]"
	@touch $@ $(VENV)/.installed

$(STORAGE): $(DEV)
	@$(PIP) -e ".[dev,storage]"
	@touch $@

$(BROWSER): $(DEV)
	@$(PIP) -e ".[dev,browser]"
	@touch $@
