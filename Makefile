# Two commands on a fresh machine: `make demo` and `make test`. Each does all that it needs, and nothing twice: both work in
# one build tree, of which the demo builds the library for the CPU and its program only.
PRESET ?= release
BUILD := build/$(PRESET)
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local
# The cards that the CUDA plugin is compiled for here: this machine's, or the oldest (the driver compiles for others).
CARDS ?= $(if $(findstring GPU,$(shell nvidia-smi --list-gpus 2> /dev/null)),native,80)
DEMO_ARGS ?=
BENCH_ARGS ?=

.PHONY: help build test demo demo-segmentation demo-segmentation3d bench coverage lint docs install clean deps
.DEFAULT_GOAL := build

help:            ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## */\1\t/p' Makefile | expand -t 22

deps:
	@scripts/deps.sh

$(BUILD)/build.ninja: | deps
	cmake --preset $(PRESET) -DWEFT_CUDA_ARCHITECTURES=$(CARDS)

build: deps $(BUILD)/build.ninja   ## the library, its CUDA plugin where there is nvcc, and all programs, in build/release
	cmake --build $(BUILD) -j $(JOBS)

test: build      ## build and run every test
	OMP_WAIT_POLICY=passive ctest --test-dir $(BUILD) --output-on-failure --no-tests=error -j $(JOBS)

demo: deps $(BUILD)/build.ninja   ## stylise a photo: writes .demo/astronaut_*.png (DEMO_ARGS="--size 512" goes to the program)
	@echo "demo: compiling the library for the CPU and style_transfer, about $(shell expr 12 / $(JOBS) + 1) minutes with $(JOBS) jobs the first time"
	cmake --build $(BUILD) -j $(JOBS) --target style_transfer
	scripts/demo.sh $(BUILD) $(DEMO_ARGS)

demo-segmentation: deps $(BUILD)/build.ninja   ## draw streets, learn to name their parts, look at the result: .demo/segmentation
	@echo "demo: compiling the library for the CPU and segmentation, about $(shell expr 12 / $(JOBS) + 1) minutes with $(JOBS) jobs the first time"
	cmake --build $(BUILD) -j $(JOBS) --target segmentation
	scripts/demo-segmentation.sh $(BUILD) $(DEMO_ARGS)

demo-segmentation3d: deps $(BUILD)/build.ninja   ## draw volumes of cells, learn their membranes, look at them: .demo/segmentation3d
	@echo "demo: compiling the library for the CPU and segmentation3d, about $(shell expr 12 / $(JOBS) + 1) minutes with $(JOBS) jobs the first time"
	cmake --build $(BUILD) -j $(JOBS) --target segmentation3d
	scripts/demo-segmentation3d.sh $(BUILD) $(DEMO_ARGS)

bench: build     ## weft against PyTorch, in turns: writes docs/benchmarks.md
	bench/compare.py --build $(BUILD) $(BENCH_ARGS)

coverage: deps $(BUILD)/build.ninja   ## writes docs/coverage.md from the kernels that are there (needs the CUDA toolkit)
	cmake --build $(BUILD) -j $(JOBS) --target weft_test_backends weft_cuda
	WEFT_WRITE_COVERAGE=docs/coverage.md $(BUILD)/bin/weft_test_backends -ts=coverage

lint:            ## formatting, include rules and clang-tidy
	@scripts/deps.sh --dev
	scripts/lint.sh

docs:            ## the API reference, in docs/api
	@scripts/deps.sh --dev
	doxygen Doxyfile

install: build   ## installs to PREFIX (default /usr/local)
	cmake --install $(BUILD) --prefix $(PREFIX)

clean:           ## removes the build trees; fetched packages and demo assets stay
	rm -rf build docs/api
