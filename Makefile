# Chargeline. make run starts it with simulated chargers, make test runs every test; both install what is missing first.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help build run test lint bench torture fuzz clean

help: ## this list
	@sed -nE 's/^([a-z]+):[^#]*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

build: ## the program: build/release/chargeline
	@tools/install-deps build
	@tools/build release chargeline

run: build ## the server with simulated chargers; Ctrl-C stops it
	@exec tools/demo

test: ## every test, in release and under sanitizers; the last line says how many
	@tools/install-deps build test
	@tools/run-tests

lint: ## form, clang-tidy, cppcheck (ALL=1: of all files, not only changed ones)
	@tools/install-deps build lint
	@tools/lint $(if $(ALL),--all)

bench: ## the figures: prints numbers, writes docs/bench.md, asserts nothing (QUICK=1: a minute, writes nothing)
	@tools/install-deps build test
	@tools/build release chargeline load load-piles raw-echo fill-log
	@tools/bench $(if $(QUICK),--quick --no-docs)

torture: ## kill -9 under load, ROUNDS times (10000, about half an hour), a tenth as often under the load of piles; then the planted defects
	@tools/install-deps build test
	@tools/build release
	@tools/torture

fuzz: ## each fuzz target for FUZZ_SECONDS (60) of processor time (COVERAGE=1: how much code they reach)
	@tools/install-deps build fuzz
	@tools/fuzz $(if $(COVERAGE),--coverage)

clean: ## everything that was built; data stays
	rm -rf build
