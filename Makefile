# SPDX-License-Identifier: LGPL-2.1-or-later
#
# make                the program, $(BUILD)/stasis
# make demo           a VM saved, killed, brought back, for real
# make check          unit tests, command-line tests, real-QEMU tests
# make install        to $(DESTDIR)$(prefix)
#
# Variables: CC=clang, BUILD=dir, WERROR=1, SANITIZE=address,undefined,
# V=1 (show commands), QEMU=emulator, ACCEL=kvm, TESTS="tests/qemu/a.sh ..." (for check-qemu).

VERSION := 0.1.0
CC      := gcc
BUILD   := build
prefix  := /usr/local
OPT     := -O2 -g

MODULES   := base format qemu qcow save restore cmd
LIBS      := libarchive libzstd jansson libxxhash zlib blkid libnbd gnutls
TEST_LIBS := cmocka

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes \
            -Wmissing-prototypes -Wvla -Wundef -Wformat=2
ifneq ($(V),1)
Q := @
endif
ifeq ($(WERROR),1)
WARNINGS += -Werror
endif

# The tests' own packages are asked for only when tests are built.
pkg = $(shell pkg-config $(1) 2>/dev/null)
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -I. -pthread \
             -DSTASIS_VERSION='"$(VERSION)"' $(WARNINGS) $(OPT) \
             $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer) \
             $(LIB_CFLAGS) $(CPPFLAGS) $(CFLAGS)
ALL_LDFLAGS = -pthread $(if $(SANITIZE),-fsanitize=$(SANITIZE)) $(LDFLAGS)
LIB_CFLAGS := $(call pkg,--cflags $(LIBS))
LIB_LDLIBS := $(or $(call pkg,--libs $(LIBS)),-larchive -lzstd -ljansson -lxxhash -lz -lblkid -lnbd -lgnutls)

SOURCES      := $(sort $(wildcard $(MODULES:%=%/*.c)))
TEST_SOURCES := $(filter %_test.c,$(SOURCES))
CODE         := $(filter-out %_test.c,$(SOURCES))
TOOL_SOURCES := $(sort $(wildcard tests/tool/*.c))

ARCHIVE := $(BUILD)/libstasis.a
PROGRAM := $(BUILD)/stasis
UNITS   := $(TEST_SOURCES:%.c=$(BUILD)/%)
TOOLS   := $(TOOL_SOURCES:%.c=$(BUILD)/%)
MICRO   := $(BUILD)/bench/micro
OBJECTS := $(CODE:%.c=$(BUILD)/%.o)
PAGES   := $(patsubst spec/man/%.in,$(BUILD)/man/%,$(wildcard spec/man/*.in))

all: $(PROGRAM)

# ---- building ------------------------------------------------------------

$(PROGRAM): $(BUILD)/main.o $(ARCHIVE)
	$(if $(Q),@echo '  LD  $@')
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIB_LDLIBS)

# Made anew: an object whose source is gone must not linger.
$(ARCHIVE): $(OBJECTS)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

# What was compiled otherwise (other flags, other compiler) is stale.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS)' | cmp -s - $@ || \
		echo '$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS)' > $@

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(if $(Q),@echo '  CC  $@')
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(UNITS): $(BUILD)/%: $(BUILD)/%.o $(ARCHIVE)
	$(if $(Q),@echo '  LD  $@')
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIB_LDLIBS) -lcmocka

$(TOOLS): $(BUILD)/%: $(BUILD)/%.o $(ARCHIVE)
	$(if $(Q),@echo '  LD  $@')
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIB_LDLIBS)

$(MICRO): $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard bench/micro*.c))) \
		$(ARCHIVE)
	$(if $(Q),@echo '  LD  $@')
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIB_LDLIBS)

# A page's OPTIONS come from the table that parses them.
$(BUILD)/man/%.1: spec/man/%.1.in $(PROGRAM)
	@mkdir -p $(@D)
	$(Q)$(PROGRAM) --man-options $(patsubst stasis-%,%,$*) > $@.options
	$(Q)sed -e 's/@VERSION@/$(VERSION)/' \
		-e '/^@OPTIONS@$$/r $@.options' -e '/^@OPTIONS@$$/d' $< > $@
	@rm -f $@.options

$(BUILD)/stasis.bash: $(PROGRAM)
	$(PROGRAM) completion > $@

man: $(PAGES)

# ---- testing -------------------------------------------------------------

# What the tests see.  One directory for what takes long to make.
CACHE   := $(BUILD)/cache
TEST_ENV = BUILD_DIR=$(BUILD) STASIS=$(abspath $(PROGRAM)) TOOLS=$(abspath $(BUILD)/tests/tool) \
           GUEST=$(abspath $(CACHE)/guest) SOURCE=$(CURDIR) \
           QEMU=$${QEMU:-qemu-system-x86_64} ACCEL=$${ACCEL:-tcg}
CLI     := $(sort $(wildcard tests/cli/*.sh tests/qcow/*.sh tests/disks/*.sh))
FAST    := $(sort $(wildcard tests/qemu/*.sh)) $(sort $(filter-out \
             %/common.sh,$(wildcard tests/faults/*.sh)))
TESTS   := $(FAST)

# The parts that need packages run in a second make: only then does
# pkg-config know them.
check: deps
	@$(MAKE) --no-print-directory $@-now

demo:
	@tests/deps.sh demo
	@$(MAKE) --no-print-directory $@-now

deps:
	@tests/deps.sh

build-tests: $(PROGRAM) $(UNITS) $(TOOLS) $(PAGES)

guest: $(TOOLS)
	@tests/guest/build.sh $(CACHE)/guest

check-now: build-tests guest
	@$(TEST_ENV) tests/run.sh $(UNITS) $(CLI) $(FAST)

check-unit: $(UNITS)
	@$(TEST_ENV) tests/run.sh $(UNITS)

check-cli: build-tests
	@$(TEST_ENV) tests/run.sh $(CLI)

# All that needs no VM.
check-quick: build-tests
	@$(TEST_ENV) tests/run.sh $(UNITS) $(CLI)

check-qemu: build-tests guest
	@$(TEST_ENV) tests/run.sh $(TESTS)

# The same scripts, long: every size, two hundred kills, ten rounds.
check-faults: build-tests guest
	@$(TEST_ENV) LONG=1 tests/run.sh $(filter tests/faults/%,$(FAST))

check-long: build-tests guest
	@$(TEST_ENV) LONG=1 tests/run.sh $(TESTS)

# Beside what else saves and loads a VM, in one run: $(OUT)/bench.md, .json, .svg.
# For a part of it: ROUNDS=1 GUESTS=content PEERS="exec:cat exec:zstd".
ROUNDS ?= 5
GUESTS ?= content linux empty
OUT    ?= $(BUILD)/bench
bench: build-tests guest $(MICRO)
	@tests/deps.sh bench
	@SUITES=trixie tests/versions.sh fetch $(CACHE)/qemu-versions
	@$(TEST_ENV) VERSIONS=$(CACHE)/qemu-versions MICRO=$(abspath $(MICRO)) \
		bench/bench.py --rounds $(ROUNDS) $(GUESTS:%=--guest %) \
		$(PEERS:%=--peer %) --out $(OUT)
	@STASIS=$(abspath $(PROGRAM)) TOOLS=$(abspath $(BUILD)/tests/tool) bench/disks.sh

# The program's parts in GB/s, beside memcpy in the same run.
bench-micro: $(MICRO)
	@$(MICRO)

# What a snapshot costs per GiB, up to a million chunks.
bench-growth: build-tests
	@STASIS=$(abspath $(PROGRAM)) TOOLS=$(abspath $(BUILD)/tests/tool) bench/growth.sh

# How soon a guest runs that is restored lazily, at several sizes.
bench-lazy: build-tests guest
	@$(TEST_ENV) ROUNDS=$(ROUNDS) bench/lazy.py $(SIZES)

# Every real-QEMU test with each QEMU of Debian's suites.
check-versions: build-tests guest
	@tests/versions.sh fetch $(CACHE)/qemu-versions
	@$(TEST_ENV) tests/versions.sh run $(CACHE)/qemu-versions $(TESTS)

# What check says beside what QEMU 5.2, 7.2 and 10.0 do: spec/check-matrix.md.
check-matrix: build-tests guest
	@tests/versions.sh fetch $(CACHE)/qemu-versions
	@$(TEST_ENV) tests/matrix/run.sh $(CACHE)/qemu-versions

check-asan:
	@$(MAKE) --no-print-directory check-quick BUILD=$(BUILD)-asan \
		SANITIZE=address,undefined OPT='-O1 -g'

check-tsan:
	@$(MAKE) --no-print-directory check-unit BUILD=$(BUILD)-tsan \
		SANITIZE=thread OPT='-O1 -g'

check-valgrind: $(UNITS)
	@$(TEST_ENV) WRAP='valgrind -q --error-exitcode=99 --leak-check=full' \
		tests/run.sh $(UNITS)

# Hostile images for the qcow2 reader, with libFuzzer; what was found before is
# begun with.  FUZZ_SECONDS=3600 for longer.
FUZZ_SECONDS ?= 60
FUZZ         := $(BUILD)/tests/fuzz/qcow2 $(BUILD)/tests/fuzz/fields
fuzz:
	@$(MAKE) --no-print-directory fuzz-now CC=clang BUILD=$(BUILD)-fuzz \
		SANITIZE=address,undefined,fuzzer-no-link \
		CFLAGS=-fno-sanitize-recover=undefined OPT='-O1 -g'

fuzz-now: $(FUZZ)
	tests/fuzz/seeds.sh $(BUILD)/seeds
	@set -e; for f in $(notdir $(FUZZ)); do \
		mkdir -p $(BUILD)/corpus/$$f; \
		$(BUILD)/tests/fuzz/$$f -max_total_time=$(FUZZ_SECONDS) \
			-max_len=140000 -rss_limit_mb=512 -timeout=10 \
			-artifact_prefix=$(BUILD)/$$f- $(BUILD)/corpus/$$f \
			$(BUILD)/seeds/$$f; \
	done

$(FUZZ): %: %.o $(ARCHIVE)
	$(Q)$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIB_LDLIBS)

demo-now: $(PROGRAM) $(TOOLS) guest
	@$(TEST_ENV) tests/demo.sh

# ---- keeping house -------------------------------------------------------

install: $(PROGRAM) $(PAGES) $(BUILD)/stasis.bash
	install -D -m 755 $(PROGRAM) $(DESTDIR)$(prefix)/bin/stasis
	install -d $(DESTDIR)$(prefix)/share/man/man1
	install -m 644 $(PAGES) $(DESTDIR)$(prefix)/share/man/man1
	install -D -m 644 $(BUILD)/stasis.bash \
		$(DESTDIR)$(prefix)/share/bash-completion/completions/stasis

format:
	clang-format -i main.c $(wildcard $(MODULES:%=%/*.[ch]) tests/tool/*.c)

clean:
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-tsan $(BUILD)-clang $(BUILD)-fuzz

.SECONDARY:
.PHONY: all man check check-now check-unit check-cli check-quick check-qemu \
	bench bench-micro bench-growth bench-lazy fuzz fuzz-now check-faults check-long check-versions check-matrix check-asan check-tsan check-valgrind demo \
	demo-now deps guest build-tests install format clean FORCE
FORCE:

-include $(wildcard $(BUILD)/*.d $(MODULES:%=$(BUILD)/%/*.d) \
	$(BUILD)/tests/tool/*.d $(BUILD)/bench/*.d)
