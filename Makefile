.DEFAULT_GOAL := help
UV := .tools/bin/uv
UV_VERSION := 0.13.9
PY := .venv/bin/python
TRADE := $(PY) -m orchestration
BENCHES := normalize ticks bars sink transport core risk backtest orders recovery

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed 's/:.*## /\t/' | expand -t 12

$(UV):
	python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target .tools "uv==$(UV_VERSION)"

.venv/.ready: pyproject.toml uv.lock | $(UV)
	$(UV) sync --locked --quiet $(if $(PYTHONDONTWRITEBYTECODE),--compile-bytecode)
	@touch $@

install: .venv/.ready ## install uv and the locked dependencies

run: .venv/.ready ## start the platform; Ctrl-C stops it (ARGS="--feed replay:FILE")
	@$(TRADE) up $(ARGS)

test: .venv/.ready debian ## run the whole test suite; CI runs exactly this (ARGS="tests/trading -x")
	@$(PY) -m pytest -p tests.progress $(ARGS)

soak: .venv/.ready debian ## run the long versions of the crash tests
	@$(PY) -m pytest -p tests.progress -m soak --timeout=0 $(ARGS)

check: .venv/.ready ## format, lint, types, architecture; under a minute
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@$(PY) -m pytest -q tests/architecture

bench: .venv/.ready ## run every benchmark program
	@for name in $(BENCHES); do $(TRADE) bench $$name || exit 1; done

kafka: .venv/.ready ## fetch Apache Kafka and start one node on this machine
	@$(PY) deploy/kafka/node.py start $(ARGS)

debian: ## fetch Chromium and promtool with apt, for the tests that use them
	@deploy/debian.sh

clean: ## remove caches and builds; keeps the data under TRADE_HOME
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
	find orchestration streaming trading tests deploy -name __pycache__ -prune -exec rm -rf {} +

.PHONY: help install run test soak check bench kafka debian clean
