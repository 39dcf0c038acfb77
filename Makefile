# Berth's only door: every target does the set-up that it needs. See docs/testing.md.

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -ec
.DEFAULT_GOAL := help

# Given on make's command line ('make test BERTH_REQUIRE_PEERS=1') these must reach the scripts.
export BERTH_REQUIRE_PEERS BERTH_WARNINGS_AS_ERRORS

.PHONY: help run test interop bench check generate setup peers

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

setup: ## Install what building needs
	@.ci/setup-build.sh

peers: setup ## Get the real programs that the interop tests talk to
	@.ci/setup-peers.sh

run: setup ## Build the release binary and run the demonstration
	@swift build -c release --product berth
	@"$$(swift build -c release --show-bin-path)/berth" demo

test: peers ## Run unit, interop and orchestration tests
	@.ci/test.sh all

interop: peers ## Run only the tests against real QEMU, and list what was skipped
	@.ci/test.sh interop

bench: peers ## Measure Berth, QEMU and the machine side by side (BENCH="--help": how)
	@.ci/bench.sh $(BENCH)

check: setup ## Format, layering, generated files, forbidden strings, warnings
	@.ci/check.sh

generate: setup ## Rewrite the generated files from schema/
	@swift run berth-qapi schema Sources/BerthQAPI/Generated docs/monitor/qmp-reference.md docs/image-reports.md
