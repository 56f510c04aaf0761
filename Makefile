# The front door. Everything here is done by pulumi, pytest, ruff and mypy, which can be typed by hand as well:
# `eval "$(scripts/env)"` gives a shell what they need.
ifneq ($(filter up down,$(MAKECMDGOALS)),)
K3D := $(shell command -v k3d >/dev/null && timeout 5 docker info >/dev/null 2>&1 && echo yes)
endif
PYTHON ?= python3
STACK ?= $(if $(K3D),dev,lab)
WHY := $(if $(K3D),k3d makes its clusters,the lab makes its clusters: there is no k3d with a Docker that answers)
RUN := scripts/env exec

# Each file of Python is compiled once, not by each process, wherever the environment says otherwise.
export PYTHONDONTWRITEBYTECODE :=

# The stacks dev and lab hold throw-away clusters. Their state stays on this machine, and their passphrase is empty, as
# `encryptionsalt` in the stack files has it. For any other stack: `pulumi login`, and a passphrase of your own.
ifneq ($(filter dev lab,$(STACK)),)
export PULUMI_BACKEND_URL ?= file://~
export PULUMI_CONFIG_PASSPHRASE :=
endif

# Else a misspelt name would be a new stack. A name may have an organization and a project before it.
ifeq ($(filter up,$(MAKECMDGOALS))$(wildcard Pulumi.$(notdir $(STACK)).yaml),up)
$(error there is no Pulumi.$(notdir $(STACK)).yaml here: copy a file of examples/ to it, or name another stack by STACK=NAME)
endif

.PHONY: help venv up down test lint unit e2e labs cuts faults soak bench
.DEFAULT_GOAL := help

help: ## show this list
	@grep -hE '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 8

up: venv/installed ## bring up the pair: two isolated clusters, joined, and the hosts shown with the pods that answered
	@echo "stack $(STACK)$(if $(filter file,$(origin STACK)),: $(WHY))"
	$(RUN) pulumi stack select --create $(STACK)
	@$(RUN) venv/bin/python -m dcmesh unlock --stack $(STACK)
	$(RUN) pulumi up --yes --stack $(STACK)
	@$(RUN) venv/bin/python -m dcmesh status --stack $(STACK) || test $$? -eq 1  # a warning is no failure

down: venv/installed ## pulumi destroy: nothing is left
	@$(RUN) venv/bin/python -m dcmesh unlock --stack $(STACK)
	$(RUN) pulumi destroy --yes --stack $(STACK)
	$(RUN) pulumi stack rm --yes --preserve-config $(STACK)

# The faults need one lab, and leave a core for lint and unit tests, which speak last.
test: venv/installed ## everything that CI runs
	@$(MAKE) --no-print-directory labs; labs=$$?; \
	nice $(MAKE) --no-print-directory lint unit >venv/beside.log 2>&1 & beside=$$!; \
	$(MAKE) --no-print-directory cuts; cuts=$$?; \
	wait $$beside; beside=$$?; cat venv/beside.log; exit $$((labs || cuts || beside))

lint: venv/installed ## ruff, mypy, who imports whom, and whether what is generated or was measured is up to date
	venv/bin/ruff check .
	venv/bin/ruff format --check .
	venv/bin/mypy
	venv/bin/lint-imports --no-cache --no-logo
	venv/bin/python -m dcmesh.config.generate --check
	venv/bin/python -m bench.document --check
	venv/bin/python -m tests.soak --check

# No test looks at what is logged.
unit: venv/installed ## the unit tests: no cluster, seconds
	venv/bin/python -m pytest tests/unit -n 2 -p no:logging

e2e: labs cuts ## the end-to-end tests, and the faults; soak's not

labs: venv/installed
	$(RUN) venv/bin/python -m pytest tests/e2e -m "not soak" -n 2 --tb=short --durations=40

# Beside no other lab: they measure how long a cut lasts.
cuts: venv/installed
	$(RUN) venv/bin/python -m pytest tests/faults -m "not soak" --tb=short --durations=0

faults: venv/installed ## all faults, soak's too, and nothing else; writes what they cost into docs/resilience.md
	$(RUN) venv/bin/python -m pytest tests/faults --document docs/resilience.md

soak: venv/installed ## what only repeats or waits; writes docs/soak.md. ONLY='WAN and lost' runs what pytest's -k selects
	$(RUN) venv/bin/python -m tests.soak -k "$(ONLY)"

bench: venv/installed ## how fast and how large; writes docs/performance.md. Takes a quiet machine
	$(RUN) venv/bin/python -m bench

venv: venv/installed ## the virtual environment, which all others make if it is not there

venv/installed: dependencies.txt requirements.txt requirements-dev.txt lab/requirements.txt constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "$(PYTHON) is %d.%d, and 3.11 or newer is needed: name it, as in `make venv PYTHON=python3.11`" % sys.version_info[:2])'
	@echo "installing what dcmesh needs into venv/: one to three minutes"
	$(PYTHON) -m venv venv
	venv/bin/pip install --quiet --requirement requirements-dev.txt --constraint constraints.txt
	touch $@
