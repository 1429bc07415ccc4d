# Two commands need nothing first: `make demo` and `make test`.
.PHONY: demo test test-long test-scale test-night lint docs bench fuzz mutants coverage sanitize clean
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
DECLARED := $(shell find guardrail -name "*.pxd")
BUILD_INPUTS := pyproject.toml setup.py $(wildcard guardrail/_core/*.pyx guardrail/_core/*.h) \
	$(DECLARED) \
	$(wildcard $(DECLARED:.pxd=.py))

$(VENV)/pip.stamp:
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade pip
	@touch $@

# An editable install: the compiled modules land beside their sources.
$(VENV)/demo.stamp: $(VENV)/pip.stamp $(BUILD_INPUTS)
	$(PIP) install --editable '.[demo]'
	@touch $@

# The packages of the tests, for the package that is installed already.
$(VENV)/test.stamp: $(VENV)/demo.stamp
	$(PIP) install 'guardrail-cedar[test]'
	@touch $@

$(VENV)/lint.stamp: $(VENV)/test.stamp
	$(PIP) install --group lint
	@touch $@

$(VENV)/scale.stamp: $(VENV)/test.stamp
	$(PIP) install --group frameworks
	@touch $@

$(VENV)/bench.stamp: $(VENV)/test.stamp
	$(PIP) install --group bench
	@touch $@

$(VENV)/fuzz.stamp: $(VENV)/test.stamp
	$(PIP) install --group fuzz
	@touch $@

$(VENV)/mutation.stamp: $(VENV)/test.stamp
	$(PIP) install --group mutation
	@touch $@

demo: $(VENV)/demo.stamp
	$(BIN)/guardrail demo

test: $(VENV)/test.stamp
	$(BIN)/python -m pytest -m 'not long and not night and not scale' -n 2 --dist worksteal

test-long: $(VENV)/mutation.stamp
	$(BIN)/python -m pytest -m 'long and not scale' -n 2 --dist worksteal

# Takes hours: all kill rounds and differential runs, long fuzzing, mutation testing.
test-night: $(VENV)/fuzz.stamp $(VENV)/mutation.stamp
	KILL_ROUNDS=150 $(BIN)/python -m pytest -m 'night and not scale' -n 2 --dist worksteal
	$(BIN)/python -m tests.fuzz.run --seconds 14400
	$(BIN)/python -m tests.unit_coverage
	$(BIN)/python -m tests.mutation.run

test-scale: $(VENV)/scale.stamp
	$(BIN)/python -m pytest -m scale

lint: $(VENV)/lint.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports --no-cache
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

# What README.md and docs/ show runs: their examples, commands, tables and links.
docs: $(VENV)/test.stamp
	$(BIN)/python -m pytest -m 'not long and not night and not scale' -n 2 --dist worksteal \
		$$(grep -lE 'README|docs/' tests/end_to_end/test_*.py tests/unit/texts/test_*.py)

bench: $(VENV)/bench.stamp
	$(BIN)/python -m benchmarks.guarded_call
	$(BIN)/python -m benchmarks.decisions
	$(BIN)/python -m benchmarks.validation
	$(BIN)/python -m benchmarks.identity
	$(BIN)/python -m benchmarks.audit
	$(BIN)/python -m benchmarks.policy_tests
	$(BIN)/python -m benchmarks.shadow

# Seconds for all fuzz targets together; TARGETS names some of them: docs/fuzzing.md.
FUZZ_SECONDS ?= 600
TARGETS ?=

fuzz: $(VENV)/fuzz.stamp
	$(BIN)/python -m tests.fuzz.run --seconds $(FUZZ_SECONDS) $(TARGETS)

# Whether a test fails for each small change of the code that decides and releases; MODULES names
# some of its modules: tests/mutation/modules.toml.
MODULES ?=

mutants: $(VENV)/mutation.stamp
	$(BIN)/python -m tests.mutation.run $(MODULES)

# The share of guardrail's code that the unit tests run, on the plain-Python build.
coverage: $(VENV)/mutation.stamp
	$(BIN)/python -m tests.unit_coverage

sanitize: $(VENV)/test.stamp
	$(BIN)/python -m tests.fuzz.sanitize

clean:
	rm -rf build $(VENV)
	find guardrail -name '*.so' -delete
