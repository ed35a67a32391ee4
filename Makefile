# Every target sets up what it needs; a fresh clone needs Python 3.10 or newer, a C compiler and make.

PYTHON ?= python3
OUT ?= demo
ARGS ?=

BIN := .venv/bin
PYTEST := $(BIN)/pytest
# One worker for each core. With worksteal the tests of a file, and what they share, stay together as long as it goes.
TEST := $(PYTEST) -n auto --maxprocesses=8 --dist=worksteal --benchmark-disable
INSTALL := $(BIN)/python -m pip install -q --disable-pip-version-check
ISA := from stochcore import _dispatch; print(_dispatch.isa())
BUILD_REQUIRES := 'setuptools>=77' 'cython>=3.1' 'numpy>=2.0'
SOURCES := setup.py $(shell find csrc stochcore -name '*.[ch]' -o -name '*.pyx' -o -name '*.pxd')
C_FILES := $(shell find csrc stochcore/include -name '*.[ch]')
CYTHON_FILES := $(wildcard stochcore/*.pyx stochcore/*.pxd)

# Compilers that remember what they compiled, where ccache is (CCACHE= does without).
CCACHE := $(firstword $(wildcard /usr/lib/ccache /usr/lib64/ccache))
export PATH := $(if $(CCACHE),$(CCACHE):)$(PATH)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo build test test-slow test-isa test-serial test-emulated test-neon doctest sanitize pictures bench \
	bench-smoke bench-peers examples lint lint-python lint-cython lint-c lint-types lint-spelling format dist clean distclean

help:  ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ---- setting up ------------------------------------------------------------------------------------------------------

# The package in place with what its command line needs; then, for developers, everything else.
.venv/cli.stamp: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "stochcore needs Python 3.10 or newer")'
	$(PYTHON) -m venv .venv
	$(INSTALL) $(BUILD_REQUIRES)
	$(INSTALL) --no-build-isolation -e '.[cli]'
	@touch $@

.venv/dev.stamp: .venv/cli.stamp
	$(INSTALL) --no-build-isolation -e '.[dev]'
	@touch $@

.venv/built.stamp: .venv/cli.stamp $(SOURCES)
	$(BIN)/python setup.py -q build_ext --inplace
	@touch $@

build: .venv/built.stamp  ## compile the package in place

# ---- the main job ----------------------------------------------------------------------------------------------------

demo: .venv/built.stamp  ## train the network on digits and draw what it learned
	$(BIN)/stochcore train --out $(OUT) $(ARGS)
	@echo "The picture is $(abspath $(OUT))/report.png"

# ---- tests -----------------------------------------------------------------------------------------------------------

test: .venv/dev.stamp .venv/built.stamp  ## run the tests (ARGS='-k noise' picks)
	$(TEST) $(ARGS)

test-slow: .venv/dev.stamp .venv/built.stamp  ## run the tests that take longer
	$(TEST) -m slow $(ARGS)

# Tests that compile C of their own run the same whatever the build: `make test` has them.
ANY_BUILD := $(addprefix --ignore=tests/test_,functions.py quantiles.py special.py orders.py lanes.py engines.py \
	core_hashes.py)

# And what looks at words, pictures, or numbers that other tests have shown to have the same bits on every build.
ONE_BUILD := $(ANY_BUILD) $(addprefix --ignore=tests/test_,battery.py check.py cli.py compare.py costs_graphs.py data.py \
	entropy.py estimators_forms.py estimators_terms.py examples.py family_anything.py family_input.py family_numbers.py \
	gymnasium.py held_out.py interop_jax.py interop_torch.py journal.py network_estimators.py plotting.py rodeo.py \
	stopping.py train.py train_bounds.py train_resume.py truth.py views.py weights.py workers.py)

# The best one is what `make test` runs on, where test_contract.py tries them all whatever STOCHCORE_ISA says; one that
# this CPU lacks is left out, and says so.
test-isa: .venv/dev.stamp .venv/built.stamp  ## run the tests on the other instruction sets of this CPU
	@best=$$(env -u STOCHCORE_ISA $(BIN)/python -c '$(ISA)'); \
	for isa in scalar avx2 avx2_vaes avx512 avx512_vaes neon; do \
	    if [ $$isa = $$best ]; then echo "== $$isa is what make test runs on"; \
	    elif STOCHCORE_ISA=$$isa $(BIN)/python -c '$(ISA)' >/dev/null 2>&1; then \
	        echo "== STOCHCORE_ISA=$$isa"; STOCHCORE_ISA=$$isa $(TEST) -q $(ONE_BUILD) \
	            --ignore=tests/test_contract.py $(ARGS) || exit 1; \
	    else echo "== $$isa: not on this CPU"; fi; \
	done

# A build of its own in build/NAME, put before the package in place (PYTHONSAFEPATH: also for `python -c` here), with
# the instruction sets of this CPU alone: no test would run another.
# $(call variant,NAME,VARIABLES)
HERE := from stochcore import _dispatch; print(*_dispatch.runnable(), sep=",")
variant = STOCHCORE_BUILD_ISAS="$$($(BIN)/python -c '$(HERE)')" $(2) \
	$(BIN)/python setup.py -q build --build-base build/$(1) --build-lib build/$(1)/lib
on_variant = PYTHONSAFEPATH=1 PYTHONPATH=$(CURDIR)/build/$(1)/lib STOCHCORE_BUILD_UNDER_TEST=$(CURDIR)/build/$(1)/lib

test-serial: .venv/dev.stamp .venv/built.stamp  ## run the tests on a build without OpenMP
	$(call variant,serial,STOCHCORE_NO_OPENMP=1)
	$(call on_variant,serial) $(TEST) -q $(ONE_BUILD) $(ARGS)

test-emulated: .venv/dev.stamp .venv/built.stamp  ## run the tests on emulated AVX-512 (needs SIMDe: apt-get install libsimde-dev)
	$(call variant,emulated,STOCHCORE_TEST_EMULATE_AVX512=1)
	$(call on_variant,emulated) STOCHCORE_ISA=avx512 $(TEST) -q $(ONE_BUILD) $(ARGS)

# On a machine that is no Arm: cross-compiled, and run by qemu.
test-neon: .venv/dev.stamp  ## run the C core's tests on AArch64 (elsewhere needs gcc-aarch64-linux-gnu and qemu-user)
	@case $$(uname -m) in aarch64 | arm64) ;; *) \
	    command -v aarch64-linux-gnu-gcc && command -v qemu-aarch64 || { \
	    echo "please install gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user" >&2; exit 1; } ;; esac
	$(TEST) -q -m '' $(addprefix tests/test_,core_hashes.py lanes.py engines.py functions.py quantiles.py special.py orders.py) -k 'neon or aarch64' $(ARGS)

# No C of ours runs in test_battery.py; torch and JAX bring much that the sanitizers would look at instead of ours.
# libstdc++ comes along because AddressSanitizer must see it when it starts, or C++ exceptions of others would end it.
sanitize: .venv/dev.stamp .venv/built.stamp  ## run the tests under AddressSanitizer and UndefinedBehaviorSanitizer
	$(call variant,sanitize,CC=gcc STOCHCORE_SANITIZE=1)
	$(call on_variant,sanitize) PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 \
	UBSAN_OPTIONS=print_stacktrace=1 \
	LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libstdc++.so)" \
	$(TEST) -q -p no:cacheprovider --capture=sys $(ANY_BUILD) --ignore=tests/test_battery.py --ignore=tests/test_interop_jax.py --ignore=tests/test_interop_torch.py $(ARGS)

PAGES := README.md $(addprefix docs/,costs.md estimators.md families.md interop.md networks.md scale.md simulators.md)

doctest: .venv/dev.stamp .venv/built.stamp  ## run the examples in README.md, docs and docstrings
	$(TEST) -q --doctest-modules --doctest-glob='*.md' $(PAGES) stochcore $(ARGS)

pictures: .venv/dev.stamp .venv/built.stamp  ## draw the pictures of docs/families.md and docs/estimators.md again
	$(BIN)/python docs/draw_families.py
	$(BIN)/python docs/draw_estimators.py

# Those that need no download.
examples: .venv/built.stamp  ## run the examples and draw their pictures again (ARGS='--seed 1')
	$(BIN)/python examples/staircase.py --out examples/staircase.png $(ARGS)
	$(BIN)/python examples/best_subset.py --out examples/best_subset.png $(ARGS)
	$(BIN)/python examples/mm1_queue.py --out examples/mm1_queue.png $(ARGS)
	$(BIN)/python examples/inventory.py --out examples/inventory.png $(ARGS)
	$(BIN)/python examples/epidemic.py --out examples/epidemic.png $(ARGS)
	$(BIN)/python examples/cartpole.py --out examples/cartpole.png $(ARGS)
	$(BIN)/python examples/hard_decisions.py --out examples/hard_decisions.png $(ARGS)
	$(BIN)/python examples/denoising.py --out examples/denoising.png $(ARGS)
	$(BIN)/python examples/gymnasium_frozenlake.py --out examples/gymnasium_frozenlake.png $(ARGS)
	$(BIN)/python examples/with_torch.py $(ARGS)
	$(BIN)/python examples/with_jax.py $(ARGS)

# ---- benchmarks ------------------------------------------------------------------------------------------------------

bench: .venv/dev.stamp .venv/built.stamp  ## measure, beside the peers that are installed; write a table and a plot
	@mkdir -p build
	$(PYTEST) benchmarks --benchmark-json=build/bench.json $(ARGS)
	$(BIN)/python benchmarks/report.py build/bench.json

bench-peers: .venv/dev.stamp  ## install the peers, then measure
	$(INSTALL) --no-build-isolation -e '.[dev,bench]'
	$(MAKE) bench

bench-smoke: .venv/dev.stamp .venv/built.stamp  ## run each benchmark once, small, to see that it works
	STOCHCORE_BENCH_SMOKE=1 $(TEST) -q benchmarks $(ARGS)

# ---- the house -------------------------------------------------------------------------------------------------------

lint: lint-python lint-cython lint-c lint-types lint-spelling  ## check style, types, spelling and C warnings

lint-python: .venv/dev.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check

lint-cython: .venv/dev.stamp
	PATH="$(CURDIR)/$(BIN):$$PATH" cython-lint $(CYTHON_FILES)

# Syntax and warnings for each instruction set, with each compiler that is here.
C_WARNINGS := -std=c11 -Wall -Wextra -Wconversion -Wshadow -Werror -fsyntax-only -Icsrc -Istochcore/include
AVX2 := -DSC_ISA_AVX2 -mavx2 -mfma -maes
AVX512 := -DSC_ISA_AVX512 -mfma -maes -mavx512f -mavx512dq -mavx512bw -mavx512vl
NEON := -DSC_ISA_NEON -march=armv8-a+crypto

lint-c: .venv/dev.stamp
	$(BIN)/clang-format --dry-run -Werror $(C_FILES)
	@for cc in gcc clang aarch64-linux-gnu-gcc; do \
	    command -v $$cc >/dev/null || { echo "$$cc is not here: its warnings are not checked"; continue; }; \
	    echo "$$cc: warnings of csrc"; \
	    check() { $$cc $(C_WARNINGS) "$$@" || exit 1; }; \
	    check -DSC_ISA_SCALAR csrc/kernels.c; \
	    check csrc/dispatch.c; \
	    case $$($$cc -dumpmachine) in \
	    x86_64-*) \
	        check $(AVX2) csrc/kernels.c; check $(AVX2) -mvaes csrc/kernels.c; \
	        check $(AVX512) csrc/kernels.c; check $(AVX512) -mvaes csrc/kernels.c; \
	        check -DSC_HAVE_AVX2 -DSC_HAVE_AVX512 csrc/dispatch.c; \
	        check -DSC_HAVE_AVX2 -DSC_HAVE_AVX2_VAES -DSC_HAVE_AVX512 -DSC_HAVE_AVX512_VAES csrc/dispatch.c ;; \
	    aarch64-* | arm64-*) \
	        check $(NEON) csrc/kernels.c; check -DSC_HAVE_NEON csrc/dispatch.c ;; \
	    esac; \
	done

# The extensions against their stubs; what Cython adds to every module is let pass.
STUBBED := $(patsubst stochcore/%.pyx,stochcore.%,$(wildcard stochcore/_*.pyx))

lint-types: .venv/dev.stamp .venv/built.stamp
	$(BIN)/mypy
	$(BIN)/stubtest $(STUBBED) --mypy-config-file pyproject.toml --ignore-disjoint-bases \
	    --allowlist tests/stubtest.allow --ignore-unused-allowlist

lint-spelling: .venv/dev.stamp
	$(BIN)/codespell

format: .venv/dev.stamp  ## put Python and C in the house style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/clang-format -i $(C_FILES)

dist: .venv/dev.stamp  ## build the sdist, and the wheel from it
	rm -rf dist
	$(BIN)/python -m build

clean:  ## remove what was built
	rm -rf build dist demo stochcore.egg-info stochcore/*.so .venv/built.stamp .venv/cli.stamp .venv/dev.stamp
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean  ## remove the virtual environment too
	rm -rf .venv
