# Every target says what it does: `make` lists them.
.DEFAULT_GOAL := help
.PHONY: help setup demo test coverage test-shared test-images chaos lint types bench fuzz docs vendor

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 16

setup: $(STAMP) ## Install everything into .venv, once

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	@touch $@

demo: setup ## Restore five photos and a film reel; results and report in demo-home
	$(BIN)/reelwright --home demo-home run examples/demo/manifest.csv
	@echo "To look at it frame by frame: $(BIN)/reelwright --home demo-home serve, and open the link that it prints."

# Two at a time, each file of tests in one process: servers are started once for each.
test: setup ## Run the tests
	$(BIN)/pytest -m "not shared and not images" -n 2 --dist loadfile

coverage: setup ## Print which lines and branches of db and orchestrator the tests leave out
	$(BIN)/pytest -m "not shared and not images" -n 2 --dist loadfile --cov --cov-report=term tests/db tests/orchestrator tests/journeys tests/reelwright tests/properties \
		tests/test_catalog.py tests/test_remedies.py

test-shared: setup ## Run the tests that need the shared media folder
	$(BIN)/pytest -m shared

# As root, with debootstrap and buildah; tests/images/workshop.py names the variables.
test-images: setup ## Build the images without Docker, and restore in them: 10 to 20 minutes, 35 GB
	$(BIN)/pytest -m images tests/images

chaos: setup ## Restore for MINUTES (60) while everything that may go wrong does
	$(BIN)/pip install -q -c constraints.txt -e '.[chaos]'
	PYTHONPATH=tests/support/plugin:. $(BIN)/python -m tests.soak $(or $(MINUTES),60)

lint: setup ## Check style, formatting and who imports whom
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

types: setup ## Check types
	$(BIN)/mypy

bench: setup ## Measure against the bars in docs/benchmarks.md; with SHORT=1 in less than two minutes
	$(BIN)/pip install -q -c constraints.txt -e '.[bench]'
	$(BIN)/python -m benchmarks $(if $(SHORT),--short)

# The library must not be in everybody's environment: it is built for few versions of Python.
fuzz: setup ## Look for inputs that break the readers, FUZZ_SECONDS for each (300)
	$(BIN)/pip install -q atheris
	for target in stills luggage xmp tags films manifests recipes weights bundles; do \
		$(BIN)/python -m tests.fuzz $$target $${FUZZ_SECONDS:-300} || exit 1; \
	done

docs: setup ## Write the generated parts of the pages anew
	$(BIN)/python docs/generate.py

# Needs npm. The versions stand in the folders' vendor.json; licences and digests are written down with the files.
vendor: setup ## Fetch the browser's libraries anew
	$(BIN)/python -m tests.browser.vendored
