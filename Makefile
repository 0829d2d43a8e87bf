# The few commands of the project. `make demo` and `make test` each make their own virtual environment first.

PYTHON ?= python3
DEMO := .venv-demo
DEV  := .venv
PINS := .ci/constraints.txt
SOURCES := pyproject.toml $(PINS)

.PHONY: help demo test faults lint format wheel clean

help:
	@echo "make demo    run the embedded bundle on the embedded clip; writes out/demo"
	@echo "make test    run the tests (installs TensorFlow for the export tests)"
	@echo "make faults  measure how long every fault of a camera takes to get over; writes docs/cameras.md"
	@echo "make lint    ruff and mypy --strict"
	@echo "make format  ruff's formatter and import order"
	@echo "make wheel   build dist/actionstream-*.whl"

demo: $(DEMO)/ready
	$(DEMO)/bin/actionstream demo --out out/demo

test: $(DEV)/ready
	$(DEV)/bin/python -m pytest

faults: $(DEV)/ready
	$(DEV)/bin/python -m tests.faults

lint: $(DEV)/ready
	$(DEV)/bin/ruff check .
	$(DEV)/bin/ruff format --check .
	$(DEV)/bin/mypy

format: $(DEV)/ready
	$(DEV)/bin/ruff check --fix .
	$(DEV)/bin/ruff format .

wheel: $(DEV)/ready
	$(DEV)/bin/pip wheel --quiet --no-deps --wheel-dir dist .

clean:
	rm -rf $(DEMO) $(DEV) out dist build *.egg-info

$(DEMO)/ready: $(SOURCES)
	$(PYTHON) -c 'import sys; sys.exit("actionstream needs Python 3.11 or newer, got %s; try make PYTHON=python3.12 demo" % sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(DEMO)
	$(DEMO)/bin/pip install --quiet --disable-pip-version-check --constraint $(PINS) --editable .
	@touch $@

$(DEV)/ready: $(SOURCES)
	$(PYTHON) -c 'import sys; sys.exit("actionstream needs Python 3.11 or newer, got %s; try make PYTHON=python3.12 test" % sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(DEV)
	$(DEV)/bin/pip install --quiet --disable-pip-version-check --constraint $(PINS) --editable '.[train,test]'
	@touch $@
