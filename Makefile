# The few commands of the project. `make demo` and `make test` each make their own virtual environment first.

PYTHON ?= python3
DEMO := .venv-demo
DEV  := .venv
PINS := .ci/constraints.txt
BENCH := $(DEV)/bin/actionstream bench
SOURCES := pyproject.toml $(PINS)

.PHONY: help demo test bench faults picture lint format wheel clean

help:
	@echo "make demo    run the embedded bundle on the embedded clip; writes out/demo"
	@echo "make test    run the tests (installs TensorFlow for the export tests)"
	@echo "make bench   measure this machine in under 5 minutes; writes out/bench"
	@echo "make faults  measure how long every fault of a camera takes to get over; writes docs/cameras.md"
	@echo "make picture draws the README's picture, docs/overlay.png, anew"
	@echo "make lint    ruff and mypy --strict"
	@echo "make format  ruff's formatter and import order"
	@echo "make wheel   build dist/actionstream-*.whl"

demo: $(DEMO)/ready
	$(DEMO)/bin/actionstream demo --out out/demo

test: $(DEV)/ready
	$(DEV)/bin/python -m pytest

bench: $(DEV)/ready
	mkdir -p out/bench
	$(BENCH) startup --json >out/bench/startup.json
	$(BENCH) latency --seconds 20 --plot out/bench/latency.png --json >out/bench/latency.json
	$(BENCH) throughput --seconds 10 --plot out/bench/throughput.png --json >out/bench/throughput.json
	$(BENCH) cameras --seconds 5 --plot out/bench/cameras.png --json >out/bench/cameras.json
	$(BENCH) soak --seconds 30 --out out/bench/soak.jsonl --plot out/bench/soak.png --json >out/bench/soak.json
	$(BENCH) compare --repeats 3 --plot out/bench/compare.png --json >out/bench/compare.json

faults: $(DEV)/ready
	$(DEV)/bin/python -m tests.faults

picture: $(DEV)/ready
	$(DEV)/bin/python -m tests.overlay_picture

lint: $(DEV)/ready
	$(DEV)/bin/ruff check .
	$(DEV)/bin/ruff format --check .
	$(DEV)/bin/mypy

format: $(DEV)/ready
	$(DEV)/bin/ruff check --fix .
	$(DEV)/bin/ruff format .

wheel: $(DEMO)/ready
	$(DEMO)/bin/pip wheel --quiet --no-deps --wheel-dir dist .

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
