.DEFAULT_GOAL := help
UV := .tools/bin/uv
PY := .venv/bin/python
UV_VERSION := 0.13.9

help:
	@grep -E '^[a-z-]+:.*## ' Makefile | sed 's/:.*## /\t/' | expand -t 12

$(UV):
	python3 -m pip install --quiet --disable-pip-version-check --target .tools "uv==$(UV_VERSION)"

.venv/.ready: pyproject.toml uv.lock | $(UV)
	$(UV) sync --locked --quiet
	@touch $@

install: .venv/.ready ## install uv and the locked dependencies

check: .venv/.ready ## format, lint, types, architecture tests
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(PY) -m pytest -q tests/architecture

.PHONY: help install check
