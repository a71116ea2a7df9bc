# Two commands: `make demo` shows the product on embedded servers, `make test` runs the tests.
# Both first install the locked packages of requirements/dev.txt into .venv.

PYTHON ?= python3
VENV   ?= .venv
TEST_PROCESSES ?= 3
# The oldest supported Postgres, as Debian 12 installs it.
POSTGRES_PROGRAMS ?= /usr/lib/postgresql/15/bin
COVERAGE_FLOOR ?= 90
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

COMPAT         := verifywise_mlflow_tests/compat
AZURITE        := verifywise_mlflow_tests/artifacts/stores/azurite
COMPAT_SERVERS := $(patsubst $(COMPAT)/servers/%.txt,.compat/%/.ready,$(wildcard $(COMPAT)/servers/*.txt))

.DEFAULT_GOAL := help
.PHONY: help install lock azurite demo test test-postgres coverage pictures install-compat compat airgap airgap-test soak bench
.PHONY: distributed image image-smoke release
.PHONY: check lint types contracts definitions prose docs clean

help:
	@echo "make demo         start MLflow, Postgres and Dagster with two tenants (DEMO_ARGS=--once exits after the summary)"
	@echo "make test         run the tests against a real MLflow server and a real Postgres (TEST_ARGS is passed to pytest)"
	@echo "make test-postgres  run the tests of the store with another Postgres (POSTGRES_PROGRAMS is the folder of its programs)"
	@echo "make coverage     run the fast tests with branch coverage; fails below COVERAGE_FLOOR percent"
	@echo "make check        run the linters: code, types, import contracts, Dagster definitions, prose"
	@echo "make docs         build the documentation into build/docs, offline; fails on a dead link"
	@echo "make compat       run the tests that depend on the server's version against each MLflow in $(COMPAT)/servers"
	@echo "make pictures     take the documentation's pictures from a running Dagster with the browser tests"
	@echo "make bench        run all benchmarks, an hour (BENCH_ARGS=--list shows them; BENCH_ARGS=distance runs some)"
	@echo "make airgap       run the demo in a network namespace with loopback only; exits with 3 on any attempt to reach beyond"
	@echo "make airgap-test  run the tests in such a network namespace"
	@echo "make soak         30 simulated minutes of 50 tenants whose servers change, fail, hang and recover (SOAK_ARGS=--help)"
	@echo "make distributed  runs per minute with Celery workers and without (DISTRIBUTED_ARGS=--tenants 20 for a small one)"
	@echo "make image        build the container image with docker, podman or buildah (deploy/image/build.sh has the variables)"
	@echo "make image-smoke  test the built image against a real MLflow server and a real Postgres"
	@echo "make release      build the packages of the last commit, check and install them (RELEASE_ARGS=--snapshot needs no tag)"
	@echo "make lock         resolve the lock files again (LOCK_ARGS=--upgrade takes newer releases)"
	@echo "make clean        remove the virtual environments, the demo and the build folder"

install: $(READY)

$(READY): pyproject.toml requirements/dev.txt
	@echo "Installing into $(VENV) (only when pyproject.toml or requirements/dev.txt changes)"
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is required: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --require-hashes --no-deps --requirement requirements/dev.txt
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# One lock file per extra, each complete, for Python 3.11 and later on every platform. LOCK_ARGS=--upgrade takes newer releases.
LOCKS := base aws celery otel kubernetes openlineage openlineage-kafka pkcs11 timestamps image pandas reports demo test dev
LOCK  := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links --quiet $(LOCK_ARGS)

lock:
	$(LOCK) --all-extras --output-file requirements/dev.txt
	for extra in $(filter-out base dev,$(LOCKS)); do \
	  $(LOCK) --extra $$extra --constraint requirements/dev.txt --output-file requirements/$$extra.txt || exit 1; \
	done
	$(LOCK) --constraint requirements/dev.txt --output-file requirements/base.txt
	$(BIN)/uv pip compile $(COMPAT)/servers/current.in --constraint requirements/dev.txt --python-version 3.11 --no-header \
	  --no-annotate --no-emit-index-url --no-emit-find-links --generate-hashes --quiet --output-file $(COMPAT)/servers/current.txt
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
	  | $(BIN)/uv pip compile - --universal \
	  --constraint requirements/dev.txt --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links --quiet --output-file requirements/build.txt
	echo "cyclonedx-bom>=7" | $(BIN)/uv pip compile - --universal \
	  --constraint requirements/dev.txt --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links --quiet --output-file requirements/sbom.txt
	echo "twine>=6.2" | $(BIN)/uv pip compile - --universal \
	  --constraint requirements/dev.txt --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links --quiet --output-file requirements/release.txt

demo: $(READY)
	$(BIN)/verifywise-mlflow demo $(DEMO_ARGS)

# Tests of one file stay in one process, since they share what they set up. The order is conftest's: the longest files
# start first. One process more than cores, since tests wait for servers.
# With Python's cache of compiled modules, whatever the environment says: each process would compile all of them again.
test test-postgres coverage compat airgap-test: export PYTHONDONTWRITEBYTECODE =
SHARED := --numprocesses=$(TEST_PROCESSES) --dist=loadfile --no-loadscope-reorder

test: $(READY) azurite
	$(BIN)/pytest $(SHARED) $(TEST_ARGS)

test-postgres: $(READY)
	VERIFYWISE_DEMO_POSTGRES=$(POSTGRES_PROGRAMS) $(BIN)/pytest $(SHARED) -m "not slow" \
	  $(addprefix verifywise_mlflow_tests/,persistence histories exports) $(TEST_ARGS)

# Branch coverage slows the tests down, so it measures the fast ones only, which reach nearly all of the code.
coverage: $(READY) azurite
	$(BIN)/pytest $(SHARED) -m "not slow" --cov --cov-report=term:skip-covered --cov-fail-under=$(COVERAGE_FLOOR) $(TEST_ARGS)

# The browser tests take the pictures in docs/. They need Chromium: apt-get install chromium
pictures: $(READY)
	VERIFYWISE_PICTURES=$(CURDIR)/docs/pictures $(BIN)/pytest verifywise_mlflow_tests/browser verifywise_mlflow_tests/documents/report/test_pages_in_chromium.py

azurite: .azurite/.ready

.azurite/.ready: $(AZURITE)/package.json $(AZURITE)/package-lock.json | $(READY)
	@echo "Installing Azurite, which the tests of Azure need, into .azurite (only when its lock file changes)"
	rm -rf .azurite
	mkdir .azurite
	cp $^ .azurite
	# npm and node come with the test extra. No package script is run.
	PATH="$(abspath $(BIN)):$$PATH" npm ci --prefix .azurite --omit=dev --ignore-scripts --no-audit --no-fund
	@touch $@

install-compat: $(COMPAT_SERVERS)

compat: $(READY)
	$(MAKE) --jobs=4 install-compat
	# Each spends half of its time waiting for servers to start.
	$(MAKE) --jobs=2 --keep-going --output-sync=target compat-shared_servers compat-own_servers

compat-%:
	$(BIN)/pytest $(COMPAT)/$* $(COMPAT_ARGS)

# The kernel has to allow network namespaces: to root, or to every user (user namespaces). Otherwise it exits with 4.
airgap: $(READY)
	$(BIN)/python -m verifywise_mlflow_tests.airgap $(BIN)/verifywise-mlflow demo --once --fresh $(DEMO_ARGS)

# The whole suite in such a network. One test looks up a name that never exists (RFC 6761), on purpose.
airgap-test: $(READY) azurite
	$(BIN)/python -m verifywise_mlflow_tests.airgap --on-purpose "name no-such-host.invalid" \
	  $(BIN)/pytest $(SHARED) $(TEST_ARGS)

soak: $(READY)
	$(BIN)/python -m benchmarks.soak $(SOAK_ARGS)

# Redis from Debian: apt-get install redis-server
distributed: $(READY)
	$(BIN)/python -m benchmarks.distributed $(DISTRIBUTED_ARGS)

# Each benchmark is a command of its own: BENCH_ARGS=--list shows them. Two need a server with passwords, whose Flask-WTF
# is in this environment only, and the emulators of object stores.
bench: $(READY) .compat/current/.ready azurite
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

.compat/%/.ready: $(COMPAT)/servers/%.txt | $(READY)
	@echo "Installing into .compat/$* (only when $< changes)"
	rm -rf .compat/$*
	$(PYTHON) -m venv --without-pip .compat/$*
	# uv compiles nothing: servers import little of what is installed. Packages that two environments share are linked.
	$(BIN)/uv pip install --python .compat/$*/bin/python --quiet --require-hashes --no-deps --requirement $<
	@touch $@

# The build backend and the tools of releases: an environment for each lock file, so that none depends on the others.
build/env/%/.ready: requirements/%.txt
	@echo "Installing into build/env/$* (only when $< changes)"
	rm -rf build/env/$*
	$(PYTHON) -m venv build/env/$*
	build/env/$*/bin/python -m pip install --disable-pip-version-check --quiet --require-hashes --no-deps --requirement $<
	@touch $@

# docs/how-to/release.md describes it. RELEASE_ARGS=--snapshot builds a commit that is no release.
release: build/env/build/.ready build/env/release/.ready build/env/sbom/.ready
	build/env/build/bin/python -m tools.release $(RELEASE_ARGS)

# Without a registry for base images, as root: apt-get install buildah mmdebstrap
image: build/env/build/.ready
	bash deploy/image/build.sh

image-smoke: $(READY)
	$(BIN)/pytest verifywise_mlflow_tests/deploy/image_smoke.py $(SMOKE_ARGS)

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY)
	$(BIN)/mypy

contracts: $(READY)
	$(BIN)/lint-imports

definitions: $(READY)
	$(BIN)/dagster definitions validate
	$(BIN)/dg check defs

# The spelling and the language of documents, comments and docstrings: .codespellrc and tools/prose_rules.yaml.
prose: $(READY)
	$(BIN)/codespell
	$(BIN)/python tools/check_prose.py

# Strict: a dead link or anchor fails the build. The variable silences an announcement of the theme's authors.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

check: lint types contracts definitions prose

clean:
	# As root, Postgres runs as another account, and .demo/postgres may be a link to its data.
	if [ -x $(BIN)/python ] && [ -L .demo/postgres ]; then \
	  $(BIN)/python -c 'from pathlib import Path; from verifywise_mlflow.demo.servers.postgres_home import remove_home; remove_home(Path(".demo/postgres"))'; \
	fi
	rm -rf $(VENV) .demo .compat .azurite build
