# urlshot: `make pdf` sets everything up and prints a page, `make test` runs the tests. `make` lists all targets.
PYTHON ?= python3
HOME_DIR := .urlshot
BIN := $(HOME_DIR)/venv/bin
LAYERS := $(HOME_DIR)/layers
LAYERS_REQUIREMENTS := layers/shared/requirements.txt layers/chromium/requirements.txt
SAM := SAM_CLI_TELEMETRY=0 $(HOME_DIR)/sam/bin/sam
CHECKS := check-policies check-types check-sam check-templates check-style check-arrows
TEMPLATES := template.yaml $(filter-out infra/api.yaml,$(wildcard infra/*.yaml))
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PIP_ROOT_USER_ACTION = ignore
# Without .pyc files, every cold start of a function would compile all its packages again.
unexport PYTHONDONTWRITEBYTECODE
MAKEFLAGS += --no-print-directory

URL ?=
OUT ?= page.pdf
ALLOW ?=
CA ?=
PORT ?= 0
PARAMS ?=
K ?=
# Values from the command line go through the environment unchanged, so neither make nor the shell expands them.
unexport URL OUT ALLOW CA PORT PARAMS K
export URLSHOT_URL := $(value URL)
export URLSHOT_OUT := $(value OUT)
export URLSHOT_ALLOW := $(value ALLOW)
export URLSHOT_CA := $(value CA)
export URLSHOT_PORT := $(value PORT)
export URLSHOT_PARAMS := $(value PARAMS)
export URLSHOT_K := $(value K)
STAGE ?=
DOCKER ?=
TAKE ?=
COLD ?=
HANDOVER ?=
QUICK ?=
PARTS ?=
WORKERS ?= 3
SELECTED = $(if $(value K),-k "$$URLSHOT_K")
HISTORIES ?=
SECONDS ?=
SEED ?= 0
STRICT ?=
FULL ?=
JOBS ?=
TIMES ?=
SOAK ?=
BROKER ?=
CONFIG ?= default
GUIDED ?=

.DEFAULT_GOAL := help
.PHONY: help setup layers pdf up test test-unit prove simulate faults load fuzz audit hashes sbom lint openapi sam sam-test sizes deploy outputs tail destroy gallery screenshots bump bench clean check-pdf check-up check-python $(CHECKS)

help: ## List all targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

pdf: check-pdf setup ## Set up, start the local stack, print URL= (default: a demo page) to OUT=page.pdf, and stop the stack
	@$(BIN)/python -m infra.local pdf

up: check-up setup ## Set up and run the local stack; optional: PORT=, ALLOW=host:port,..., CA=file.pem, STAGE=1 (paths under /prod), DOCKER=1 (for sam local), PARAMS='MailTo=me@example.com Renders=2' (of the template; also for pdf)
	@exec $(BIN)/python -m infra.local up $(if $(STAGE),--stage-prefix) $(if $(DOCKER),--docker)

# Checks the arguments before the setup, because the first setup takes minutes.
check-pdf check-up: check-python
	@$(PYTHON) -m infra.local.arguments $(@:check-%=%)

check-python:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null \
		|| { echo "urlshot needs Python 3.11 or newer. Name one with: make PYTHON=/path/to/python3" >&2; exit 2; }

test: setup $(HOME_DIR)/tests.stamp $(HOME_DIR)/sam.stamp $(HOME_DIR)/checkov.stamp ## Check style and types, and run all tests except the long ones; K=word runs those that pytest -k selects
	@$(MAKE) lint
	@$(BIN)/python -m pytest -m 'not slow and not sam' -n $(WORKERS) $(SELECTED)

test-unit: $(HOME_DIR)/tests.stamp ## Run the unit tests, which need no layer, broker or browser; K= as for test
	@$(BIN)/python -m pytest tests/unit -n $(WORKERS) $(SELECTED)

prove: setup $(HOME_DIR)/tests.stamp $(HOME_DIR)/sam.stamp ## Run the long tests: soak tests, many kills, many renders
	@$(BIN)/python -m pytest -m slow

simulate: setup $(HOME_DIR)/tests.stamp ## Simulate HISTORIES= (20000) random histories of jobs and their subscribers, or as many as fit into SECONDS=, from SEED=, on all cores
	@PYTHONPATH=.:layers/shared:layers/chromium $(BIN)/python -m tests.simulation --seed $(SEED) \
		$(if $(HISTORIES),--histories $(HISTORIES)) $(if $(SECONDS),--seconds $(SECONDS))

fuzz: $(HOME_DIR)/fuzz.stamp ## Fuzz the parsers of pages' bytes for SECONDS= (60), guided by coverage; inputs and findings are in .urlshot/fuzz
	@PYTHONPATH=.:layers/shared:layers/chromium $(BIN)/python -m tests.fuzz $(HOME_DIR)/fuzz $(or $(SECONDS),60)

audit: $(HOME_DIR)/audit.stamp ## Look up all pinned packages in the advisory databases; STRICT=1 fails also if a database cannot be reached
	@$(HOME_DIR)/audit/bin/python -m infra.supply_chain audit $(if $(STRICT),--strict)

hashes: $(HOME_DIR)/audit.stamp ## Write the hashes of the layers' wheels into their requirements, after a change of their pins
	@$(HOME_DIR)/audit/bin/python -m infra.supply_chain hashes

sbom: layers ## List the contents of the layers with versions and licences in .urlshot/sbom.json (CycloneDX)
	@$(BIN)/python -m infra.supply_chain sbom $(HOME_DIR)/sbom.json

faults: setup $(HOME_DIR)/tests.stamp ## Break the running local stack at every stage of a job's life, in at most 30 minutes; SEED= replays a run, SECONDS= shortens it, FULL=1 runs every case
	@PYTHONPATH=.:layers/shared:layers/chromium $(BIN)/python -m tests.faults \
		$(if $(filter-out 0,$(SEED)),--seed $(SEED)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(FULL),--full)

load: setup $(HOME_DIR)/tests.stamp ## Send JOBS= (1000) URLs and nine times as many repeats through the local stack; TIMES=3: then three times as many; SOAK=20: evenly for so many minutes, in which nothing may grow; BROKER=1: the broker alone; writes docs/load.md
	@PYTHONPATH=.:layers/shared:layers/chromium $(BIN)/python -m tests.load $(if $(JOBS),--jobs $(JOBS)) \
		$(if $(TIMES),--times $(TIMES)) $(if $(SOAK),--soak $(SOAK)) $(if $(BROKER),--broker) --seed $(SEED)

gallery: setup $(HOME_DIR)/tests.stamp ## Render the pages of tests/gallery into .urlshot/gallery for review; EARLIER=folder compares with an earlier run
	@PYTHONPATH=.:layers/shared:layers/chromium $(BIN)/python -m tests.gallery $(HOME_DIR)/gallery $(EARLIER)

screenshots: setup $(HOME_DIR)/tests.stamp ## Take the screenshots in docs/ again, in Debian's chromium
	@PYTHONPATH=.:layers/shared:layers/chromium $(BIN)/python -m tests.e2e.screenshots docs

bench: setup $(HOME_DIR)/tests.stamp $(if $(HANDOVER)$(COLD)$(filter documents,$(PARTS)),,$(HOME_DIR)/peers.stamp) ## Measure urlshot beside its peers and write docs/bench.md; QUICK=1: in three minutes, without documents; PARTS='warm cold throughput api cost end_to_end handover scale': only some; JOBS=10000: the most jobs of end_to_end; HANDOVER=1: only the hand-over; COLD=1: cold starts in Lambda's image, with Docker
	@$(if $(COLD),$(MAKE) sam)
	@PYTHONPATH=.:layers/shared:layers/chromium $(BIN)/python -m tests.bench \
		$(if $(COLD),container,$(if $(HANDOVER),handover,$(PARTS))) $(if $(QUICK),--quick) $(if $(JOBS),--jobs $(JOBS))

lint: $(HOME_DIR)/tests.stamp $(HOME_DIR)/sam.stamp $(HOME_DIR)/checkov.stamp ## Check style, types, import rules and templates
	@printf '%s\n' $(CHECKS) | xargs -n 1 -P 2 $(MAKE)

check-policies:
	@$(HOME_DIR)/checkov/bin/checkov --file $(TEMPLATES)

check-types:
	@$(BIN)/mypy

check-sam:
	@$(SAM) validate --lint --region us-east-1

check-templates:
	@$(BIN)/cfn-lint --include-checks I -- $(TEMPLATES)

check-style:
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

check-arrows:
	@PYTHONPATH=.:layers/shared:layers/chromium $(BIN)/lint-imports

openapi: $(HOME_DIR)/tests.stamp ## Write functions/api/openapi.json and the tables in docs/ from the code
	@PYTHONPATH=.:layers/shared $(BIN)/python -m infra.openapi

sam: setup $(HOME_DIR)/sam.stamp ## Build every function and layer for Lambda, for `sam deploy`
	@$(SAM) build

deploy: sam ## Build, and deploy the stack of CONFIG= (default, dev, prod) to your AWS account; GUIDED=1 asks for every parameter
	@$(SAM) deploy --config-env $(CONFIG) $(if $(GUIDED),--guided)

outputs: $(HOME_DIR)/sam.stamp ## Show the outputs of the stack of CONFIG=: endpoint, bucket, bus, broker, dashboard
	@$(SAM) list stack-outputs --config-env $(CONFIG) --output json

tail: $(HOME_DIR)/sam.stamp ## Follow the logs of all functions in the stack of CONFIG=
	@$(SAM) logs --config-env $(CONFIG) --tail

destroy: $(HOME_DIR)/sam.stamp ## Delete the stack of CONFIG= after a question; keeps the bucket with the PDFs
	@echo "This deletes the broker with its messages, but keeps the bucket with the PDFs. docs/deploy.md says how to delete it."
	@$(SAM) delete --config-env $(CONFIG)

sam-test: sam $(HOME_DIR)/tests.stamp ## Test the built functions in Lambda's image, with Docker, and with sam local; LAMBDA_IMAGE= sets another image
	@$(BIN)/python -m pytest -m sam -v tests/sam

sizes: sam ## Build for Lambda, and check that each function with its layers is within Lambda's size limit
	@$(BIN)/python -m infra.local.functions.sizes

bump: $(BIN)/python ## Show the newest browser; TAKE=1 updates to it and compares the gallery
ifeq ($(TAKE),)
	@$(BIN)/python layers/chromium/bump.py
else
	@$(MAKE) gallery
	@rm -rf $(HOME_DIR)/gallery-before && mv $(HOME_DIR)/gallery $(HOME_DIR)/gallery-before
	@$(BIN)/python layers/chromium/bump.py --take
	@$(MAKE) hashes
	@$(MAKE) gallery EARLIER=$(HOME_DIR)/gallery-before
	@git --no-pager diff --stat
endif

setup: $(HOME_DIR)/local.stamp layers ## Prepare the environment, the layers and the broker (pdf, up and test also do this)

# ---- what the targets need ------------------------------------------------------------------------------------------
$(BIN)/python: | check-python
	@mkdir -p $(HOME_DIR)
	@echo "Creating a virtual environment in $(HOME_DIR)/venv"
	@$(PYTHON) -m venv $(HOME_DIR)/venv || { rm -rf $(HOME_DIR)/venv; \
		echo "Python has no venv module. On Debian or Ubuntu: apt-get install python3-venv"; exit 1; }

$(HOME_DIR)/local.stamp: $(BIN)/python infra/local/requirements.txt
	@echo "Installing the requirements of the local stack"
	@$(BIN)/python -m pip install --quiet --requirement infra/local/requirements.txt
	@touch $@

$(HOME_DIR)/tests.stamp: $(HOME_DIR)/local.stamp tests/requirements.txt $(LAYERS_REQUIREMENTS)
	@echo "Installing the requirements of the tests"
	@$(BIN)/python -m pip install --quiet --no-deps --require-hashes $(LAYERS_REQUIREMENTS:%=--requirement %)
	@$(BIN)/python -m pip install --quiet --requirement tests/requirements.txt
	@touch $@

$(HOME_DIR)/sam.stamp: $(HOME_DIR)/local.stamp tests/requirements-sam.txt
	@echo "Installing the SAM CLI in $(HOME_DIR)/sam"
	@$(PYTHON) -m venv $(HOME_DIR)/sam
	@$(HOME_DIR)/sam/bin/python -m pip install --quiet --requirement tests/requirements-sam.txt
	@touch $@

$(HOME_DIR)/checkov.stamp: $(HOME_DIR)/local.stamp tests/requirements-checkov.txt
	@echo "Installing checkov in $(HOME_DIR)/checkov"
	@$(PYTHON) -m venv $(HOME_DIR)/checkov
	@$(HOME_DIR)/checkov/bin/python -m pip install --quiet --requirement tests/requirements-checkov.txt
	@touch $@

# A peer that cannot be installed is named by the benchmark, and the next run tries again.
$(HOME_DIR)/peers.stamp: $(HOME_DIR)/local.stamp $(wildcard tests/bench/peers/*) tests/bench/peers_install.py
	@echo "Installing what the benchmark compares with, in $(HOME_DIR)/peers"
	@PYTHONPATH=. $(BIN)/python -m tests.bench.peers_install && touch $@ || true

$(HOME_DIR)/fuzz.stamp: $(HOME_DIR)/tests.stamp tests/requirements-fuzz.txt
	@echo "Installing the fuzzer"
	@$(BIN)/python -m pip install --quiet --requirement tests/requirements-fuzz.txt
	@touch $@

$(HOME_DIR)/audit.stamp: tests/requirements-audit.txt | check-python
	@echo "Installing pip-audit in $(HOME_DIR)/audit"
	@mkdir -p $(HOME_DIR) && $(PYTHON) -m venv $(HOME_DIR)/audit
	@$(HOME_DIR)/audit/bin/python -m pip install --quiet --requirement tests/requirements-audit.txt
	@touch $@

# Requirements are installed when they change. The browser is downloaded and packed once. Our own code is copied every
# time. The hash of all sources is taken first, so that a change during the build makes the layers outdated.
layers: $(LAYERS)/SharedLayer.stamp
	@sources=$$($(BIN)/python -m infra.local.functions.layers) && \
	$(MAKE) -C layers/shared sources ARTIFACTS_DIR=$(abspath $(LAYERS))/SharedLayer && \
	$(MAKE) -C layers/chromium build-ChromiumLayer \
		ARTIFACTS_DIR=$(abspath $(LAYERS))/ChromiumLayer LOCAL_PYTHON=$(abspath $(BIN))/python && \
	echo "$$sources" > $(LAYERS)/sources.sha256

$(LAYERS)/SharedLayer.stamp: layers/shared/requirements.txt layers/shared/Makefile layers/shared/trim.py $(BIN)/python
	@echo "Building the shared layer"
	@rm -rf $(LAYERS)/SharedLayer
	@$(MAKE) -C layers/shared build-SharedLayer \
		ARTIFACTS_DIR=$(abspath $(LAYERS))/SharedLayer LOCAL_PYTHON=$(abspath $(BIN))/python
	@touch $@

clean: ## Remove the environments, layers and builds (.urlshot and .aws-sam)
	rm -rf $(HOME_DIR) .aws-sam
