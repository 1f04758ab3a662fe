# Every target sets up what it needs from nothing: a virtual environment in .venv, packages from PyPI, and the few
# things that only the distribution has. ARGS goes to the command, as in: make demo ARGS="--scale 0.1"
.PHONY: help demo up test kills lint bench

help:
	@echo "make demo    one maintenance window on a sample PostgreSQL, with its results"
	@echo "make up      the platform: database, web interface and daemon on 127.0.0.1"
	@echo "make test    all tests"
	@echo "make kills   the tests that kill what is at work, again and again (ROUNDS=5)"
	@echo "make lint    style, types, import contracts, definitions"
	@echo "make bench   one JSON line a figure (BENCH_ARGS for smaller sizes)"

demo:
	@sh scripts/setup run
	@HERALD_DOTENV=. .venv/bin/herald demo $(ARGS)

up:
	@sh scripts/setup run
	@HERALD_DOTENV=. .venv/bin/herald up $(ARGS)

test:
	@sh scripts/test $(ARGS)

kills:
	@set -e; for round in $$(seq $(or $(ROUNDS),5)); do sh scripts/test -k kill tests/integration $(ARGS); done

lint:
	@sh scripts/setup dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/pyright
	.venv/bin/lint-imports
	sh scripts/check-definitions

bench:
	@sh scripts/setup run
	@set -e; for file in benchmarks/[!_]*.py; do .venv/bin/python "$$file" $(BENCH_ARGS); done
