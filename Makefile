# Front of the build: everything a user or CI calls. The real build is CMake (CMakePresets.json).
SHELL := /bin/bash
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local

.PHONY: help setup build demo test test-thorough bench install clean format lint

help:
	@echo "make demo     Redis, Python and nginx natively and under the runtime; SQLite and PostgreSQL in an encrypted volume; MariaDB attested; attacks; a web service on the network shield"
	@echo "make test     everything CI runs; make test-thorough adds sanitizers, clang-tidy and long runs"
	@echo "make build    executables in build/bin"
	@echo "make bench    all benchmarks, writes docs/performance.md"
	@echo "make setup    Debian packages that are missing (needs root)"
	@echo "make install  into PREFIX (default /usr/local); format: rewrite sources; lint: static checks; clean"

setup:
	tools/setup

build: setup
	cmake --preset release
	cmake --build --preset release --parallel $(JOBS)

demo: build
	tools/demo

test: setup
	tools/run-tests

test-thorough: setup
	tools/run-tests --thorough

bench: build
	tests/bench/run; status=$$?; tests/bench/report && exit $$status

install: build
	cmake --install build/release --prefix $(PREFIX)

format:
	tools/format --write

lint: build
	tools/lint

clean:
	rm -rf build
