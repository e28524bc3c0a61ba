# urlshot: `make pdf` sets everything up and prints a page, `make test` runs the tests. `make` alone lists the rest.
PYTHON ?= python3
HOME_DIR := .urlshot
BIN := $(HOME_DIR)/venv/bin
LAYERS := $(HOME_DIR)/layers
SAM := SAM_CLI_TELEMETRY=0 $(HOME_DIR)/sam/bin/sam
CHECKS := check-policies check-types check-sam check-templates check-style check-arrows
TEMPLATES := template.yaml $(filter-out infra/api.yaml,$(wildcard infra/*.yaml))
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PIP_ROOT_USER_ACTION = ignore
# A machine that forbids .pyc files would compile every package anew at each cold start of a function.
unexport PYTHONDONTWRITEBYTECODE
MAKEFLAGS += --no-print-directory

URL ?=
OUT ?= page.pdf
ALLOW ?=
CA ?=
PORT ?= 0
# What a person gives goes through the environment as it was typed: neither make nor the shell expands it.
unexport URL OUT ALLOW CA PORT
export URLSHOT_URL := $(value URL)
export URLSHOT_OUT := $(value OUT)
export URLSHOT_ALLOW := $(value ALLOW)
export URLSHOT_CA := $(value CA)
export URLSHOT_PORT := $(value PORT)
STAGE ?=
DOCKER ?=
TAKE ?=
COLD ?=
HANDOVER ?=
WORKERS ?= 3
HISTORIES ?=
SECONDS ?=
SEED ?= 0
CONFIG ?= default
GUIDED ?=

.DEFAULT_GOAL := help
.PHONY: help setup layers pdf up test prove simulate lint openapi sam sam-test sizes deploy outputs tail destroy gallery screenshots bump bench clean check-pdf check-up check-python $(CHECKS)

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

pdf: check-pdf setup ## Set up, start everything, print URL= (default: a demo page of ours) to OUT=page.pdf, stop everything
	@$(BIN)/python -m infra.local pdf

up: check-up setup ## Start the stack and keep it up; PORT=, ALLOW=host:port,..., CA=file.pem, STAGE=1 (paths under /prod) and DOCKER=1 (for sam local) as you like
	@exec $(BIN)/python -m infra.local up $(if $(STAGE),--stage-prefix) $(if $(DOCKER),--docker)

# Before the setup, which takes minutes the first time.
check-pdf check-up: check-python
	@$(PYTHON) -m infra.local.arguments $(@:check-%=%)

check-python:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null \
		|| { echo "urlshot needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3" >&2; exit 2; }

test: setup $(HOME_DIR)/tests.stamp $(HOME_DIR)/sam.stamp $(HOME_DIR)/checkov.stamp ## Run lint, types and all tests but the long ones
	@$(MAKE) lint
	@$(BIN)/python -m pytest -m 'not slow and not sam' -n $(WORKERS)

prove: setup $(HOME_DIR)/tests.stamp $(HOME_DIR)/sam.stamp ## Run the long tests: soaks, many kills, many renders
	@$(BIN)/python -m pytest -m slow

simulate: setup $(HOME_DIR)/tests.stamp ## Run HISTORIES= (20000) simulated histories of the hand-over, or for SECONDS=, from SEED= on, on all cores
	@PYTHONPATH=.:layers/shared:layers/chromium $(BIN)/python -m tests.simulation --seed $(SEED) \
		$(if $(HISTORIES),--histories $(HISTORIES)) $(if $(SECONDS),--seconds $(SECONDS))

gallery: setup $(HOME_DIR)/tests.stamp ## Render the pages of tests/gallery into .urlshot/gallery, to be looked at; EARLIER=folder compares
	@PYTHONPATH=.:layers/shared:layers/chromium $(BIN)/python -m tests.gallery $(HOME_DIR)/gallery $(EARLIER)

screenshots: setup $(HOME_DIR)/tests.stamp ## Take the pictures of the page in docs/ again, in Debian's chromium
	@PYTHONPATH=.:layers/shared:layers/chromium $(BIN)/python -m tests.e2e.screenshots docs

bench: setup $(HOME_DIR)/tests.stamp ## Time the renderer and the hand-over; HANDOVER=1: the latter alone; COLD=1: cold starts in Lambda's image, by Docker
	@$(if $(COLD),$(MAKE) sam)
	@PYTHONPATH=.:layers/shared:layers/chromium $(BIN)/python -m tests.bench $(if $(COLD),cold,$(if $(HANDOVER),handover))

lint: $(HOME_DIR)/tests.stamp $(HOME_DIR)/sam.stamp $(HOME_DIR)/checkov.stamp ## Check style, types, import arrows and templates
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

openapi: $(HOME_DIR)/tests.stamp ## Write functions/api/openapi.json and the tables of the documents as the code has them now
	@PYTHONPATH=.:layers/shared $(BIN)/python -m infra.openapi

sam: setup $(HOME_DIR)/sam.stamp ## Build every function and layer for Lambda, as `sam deploy` takes them
	@$(SAM) build

deploy: sam ## Build, and deploy the stack of CONFIG= (default, dev, prod) into your AWS account; GUIDED=1 asks for everything
	@$(SAM) deploy --config-env $(CONFIG) $(if $(GUIDED),--guided)

outputs: $(HOME_DIR)/sam.stamp ## Show the outputs of the stack of CONFIG=: endpoint, bucket, bus, broker, dashboard
	@$(SAM) list stack-outputs --config-env $(CONFIG) --output json

tail: $(HOME_DIR)/sam.stamp ## Follow the logs of the functions of CONFIG=
	@$(SAM) logs --config-env $(CONFIG) --tail

destroy: $(HOME_DIR)/sam.stamp ## Delete the stack of CONFIG=; asks first, and leaves the bucket with the PDFs
	@echo "The broker goes with its messages, the bucket stays with its PDFs; docs/deploy.md says how to delete it."
	@$(SAM) delete --config-env $(CONFIG)

sam-test: sam $(HOME_DIR)/tests.stamp ## Run what is built in Lambda's image by Docker, and by sam local; LAMBDA_IMAGE= names another image
	@$(BIN)/python -m pytest -m sam -v tests/sam

sizes: sam ## Build for Lambda, and check the size of each function with its layers against Lambda's limit
	@$(BIN)/python -m infra.local.sizes

bump: $(BIN)/python ## Show the newest browser and Playwright; TAKE=1 takes them and shows what the gallery says to it
ifeq ($(TAKE),)
	@$(BIN)/python layers/chromium/bump.py
else
	@$(MAKE) gallery
	@rm -rf $(HOME_DIR)/gallery-before && mv $(HOME_DIR)/gallery $(HOME_DIR)/gallery-before
	@$(BIN)/python layers/chromium/bump.py --take
	@$(MAKE) gallery EARLIER=$(HOME_DIR)/gallery-before
	@git --no-pager diff --stat
endif

setup: $(HOME_DIR)/local.stamp layers ## Prepare the environment, the layers and the broker (pdf, up and test do it too)

# ---- how things are made ------------------------------------------------------------------------------------------
$(BIN)/python: | check-python
	@mkdir -p $(HOME_DIR)
	@echo "Making a virtual environment in $(HOME_DIR)/venv"
	@$(PYTHON) -m venv $(HOME_DIR)/venv || { rm -rf $(HOME_DIR)/venv; \
		echo "No venv module. On Debian or Ubuntu: apt-get install python3-venv"; exit 1; }

$(HOME_DIR)/local.stamp: $(BIN)/python infra/local/requirements.txt
	@echo "Installing what the local stack runs on"
	@$(BIN)/python -m pip install --quiet --requirement infra/local/requirements.txt
	@touch $@

$(HOME_DIR)/tests.stamp: $(HOME_DIR)/local.stamp tests/requirements.txt
	@echo "Installing what the tests run on"
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

# Requirements are installed when they change, and the browser is fetched and packed once; what is our own is copied
# every time.
layers: $(LAYERS)/SharedLayer.stamp
	@$(MAKE) -C layers/shared sources ARTIFACTS_DIR=$(abspath $(LAYERS))/SharedLayer
	@$(MAKE) -C layers/chromium build-ChromiumLayer \
		ARTIFACTS_DIR=$(abspath $(LAYERS))/ChromiumLayer LOCAL_PYTHON=$(abspath $(BIN))/python

$(LAYERS)/SharedLayer.stamp: layers/shared/requirements.txt layers/shared/Makefile $(BIN)/python
	@echo "Building the shared layer"
	@$(MAKE) -C layers/shared build-SharedLayer \
		ARTIFACTS_DIR=$(abspath $(LAYERS))/SharedLayer LOCAL_PYTHON=$(abspath $(BIN))/python
	@touch $@

clean: ## Remove everything that was set up
	rm -rf $(HOME_DIR) .aws-sam
