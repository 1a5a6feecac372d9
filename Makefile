# Every target is one line a person could type; see README.md.
STACK ?= dev
PYTHON ?= $(shell command -v python3.11 || command -v python3)
UV_VERSION := 0.13.9
LABCTL := .venv/bin/labctl
GOLDENS := tests/unit/goldens tests/unit/network_policies tests/unit/sharing tests/unit/review \
	tests/unit/promotion/test_promotion_messages.py tests/unit/runs/test_picture.py
# $(call phase,NAME,COMMAND): run COMMAND and say what it took.
phase = @began=$$(date +%s); echo "== $(1)"; $(2) && echo "== $(1): $$(( $$(date +%s) - began )) s"

.PHONY: help up down preview diff destroy test lint golden bench charts
.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12
up: .venv/ready ## deploy STACK (default dev, on the embedded control plane)
	@$(LABCTL) up --stack $(STACK) --yes
down: .venv/ready ## stop the embedded control plane of STACK (labctl down --wipe forgets it)
	@$(LABCTL) down --stack $(STACK)
preview: .venv/ready ## show what `up` would change; needs no cluster, no credentials, no Pulumi CLI
	@$(LABCTL) preview --stack $(STACK)
diff: .venv/ready ## compare two environments without a cluster: make diff A=test B=prod
	@$(LABCTL) diff $(or $(A),test) $(or $(B),prod)
destroy: .venv/ready ## delete everything of STACK
	@$(LABCTL) destroy --stack $(STACK) --yes
test: .venv/ready ## lint, types, unit tests, goldens, embedded control plane; LAB_TESTS=all adds what needs root
	$(call phase,lint,.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/pyright)
	$(call phase,tools,$(LABCTL) tools)
	$(if $(filter all,$(LAB_TESTS)),$(call phase,hosts,.venv/bin/python tests/hosts/bed_prepare.py))
	$(if $(filter all,$(LAB_TESTS)),$(call phase,controllers,.venv/bin/python tests/cluster/controllers_prepare.py))
	$(if $(filter all,$(LAB_TESTS)),$(call phase,hub,.venv/bin/python tests/hub/hub_prepare.py))
	$(call phase,tests,.venv/bin/pytest -n 2 --dist loadfile --durations 10 $(PYTEST_ARGS))
lint: .venv/ready ## format and check
	@.venv/bin/ruff format . && .venv/bin/ruff check --fix . && .venv/bin/pyright
golden: .venv/ready ## rewrite what is pinned (graphs, comments, messages, a picture) after an intended change
	@.venv/bin/pytest -q $(GOLDENS) --update-golden
bench: .venv/ready ## run the benchmarks by hand and print their table
	@.venv/bin/python -m benchmarks
charts: .venv/ready ## check every release's values against the charts themselves, where the network reaches them
	@$(LABCTL) charts --stack $(STACK)

.venv/ready: requirements.txt requirements-dev.txt pyproject.toml
	@test -n "$(PYTHON)" && "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed (found: $(PYTHON)); name one with PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Setting up .venv (Python packages and their bytecode, about 30 s)"
	@test -x .venv/bin/python || "$(PYTHON)" -m venv .venv
	@PATH="$(CURDIR)/.venv/bin:$$PATH" command -v uv >/dev/null || { .venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip --upgrade >/dev/null; \
		.venv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION); }
	@PATH="$(CURDIR)/.venv/bin:$$PATH" uv pip install --quiet --compile-bytecode --python .venv/bin/python -r requirements-dev.txt -e .
	@touch $@
