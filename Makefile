# Parley's build. `make` needs no root and no network once node_modules is there; `make run` and
# `make test` first ask deploy/install-deps.sh for the Debian packages that are missing.
#
#   make            build/parley, the release
#   make run        a working chat at http://127.0.0.1:8080 (PORT overrides)
#   make test       everything: units, system, browser, the units again under ASan+UBSan, style
#   make help       all targets

PREFIX  ?= /usr/local
PORT    ?= 8080
# `make WERROR=` builds with a compiler that warns about more than we know of.
WERROR  ?= -Werror
# `make V=1` shows whole command lines.
V       ?=
# release | asan (AddressSanitizer + UBSan) | tsan (ThreadSanitizer); each has its own directory.
VARIANT ?= release

NPROC := $(shell nproc 2>/dev/null || echo 2)
ifeq ($(filter -j% --jobserver%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(NPROC)
endif
MAKEFLAGS += --no-print-directory

# The layers, lowest first. tests/style/layers.sh checks who includes whom.
COMMON_DIRS := common/base common common/chat common/dialects common/providers common/store \
               common/limits common/memory common/tools common/responses
FCGI_DIRS   := fcgi/process fcgi/http fcgi/endpoints fcgi

PACKAGES := fcgi libcurl json-c sqlite3 libuv libsodium

# Redis (REDIS_URL) is built in where libhiredis-dev is installed; `make REDIS=no` leaves it out.
REDIS ?= $(shell pkg-config --exists hiredis 2>/dev/null && echo yes || echo no)
ifeq ($(REDIS),yes)
PACKAGES += hiredis
REDIS_CPPFLAGS := -DPARLEY_REDIS
endif

# ---- flags ----

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 $(WERROR)
HARDEN   := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
SANITIZE := -O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=all

CFLAGS_release  := -O2 -g $(HARDEN)
LDFLAGS_release := -pie -Wl,-z,relro,-z,now
CFLAGS_asan     := $(SANITIZE) -fsanitize=address,undefined
LDFLAGS_asan    := -fsanitize=address,undefined
CFLAGS_tsan     := $(SANITIZE) -fsanitize=thread
LDFLAGS_tsan    := -fsanitize=thread

OUT_release := build
OUT_asan    := build/asan
OUT_tsan    := build/tsan
OUT         := $(OUT_$(VARIANT))
ifeq ($(OUT),)
$(error VARIANT=$(VARIANT) is none of release, asan, tsan)
endif

PKG_CFLAGS := $(patsubst -I%,-isystem %,$(shell pkg-config --cflags $(PACKAGES) 2>/dev/null))
# libcurl is loaded when it is needed: common/relay_curl.c.
PKG_LIBS   := $(shell pkg-config --libs $(filter-out libcurl,$(PACKAGES)) 2>/dev/null)

CPPFLAGS_ALL := -I. -D_GNU_SOURCE $(REDIS_CPPFLAGS) $(PKG_CFLAGS) $(CPPFLAGS)
CFLAGS_ALL   := -std=c17 $(WARNINGS) $(CFLAGS_$(VARIANT)) $(CFLAGS)
LDFLAGS_ALL  := $(LDFLAGS_$(VARIANT)) $(LDFLAGS)
LIBS         := $(PKG_LIBS) -lm -lpthread

# ---- what is built of what ----

COMMON_SOURCES := $(sort $(foreach dir,$(COMMON_DIRS),$(wildcard $(dir)/*.c)))
FCGI_SOURCES   := $(sort $(foreach dir,$(FCGI_DIRS),$(wildcard $(dir)/*.c)))
SOURCES        := $(COMMON_SOURCES) $(FCGI_SOURCES)
HEADERS        := $(sort $(foreach dir,$(COMMON_DIRS) $(FCGI_DIRS),$(wildcard $(dir)/*.h)))
GENERATED      := build/gen/migrations.c build/gen/assets.c

LIB_OBJECTS := $(patsubst %.c,$(OUT)/obj/%.o,$(filter-out fcgi/main.c,$(SOURCES)) $(GENERATED))
MAIN_OBJECT := $(OUT)/obj/fcgi/main.o
UNIT_TESTS  := $(patsubst tests/unit/%.c,$(OUT)/unit/%,$(sort $(wildcard tests/unit/test_*.c)))
# Put what a unit test needs beyond the library here, as UNIT_LIBS_test_name := ...
UNIT_LIBS   := -lcmocka

SYSTEM_TESTS  := $(sort $(wildcard tests/system/*.test.mjs))
BROWSER_TESTS := $(sort $(wildcard tests/browser/*.test.mjs))
# Measures the time of single tasks, which other programs would lengthen.
ALONE := tests/browser/frames.test.mjs

.PHONY: all help deps run test test-unit test-system test-browser test-asan test-tsan test-cost unit-programs \
        style format docs web bench bench-publish install clean \
        deb dist test-packages
.DELETE_ON_ERROR:

all: $(OUT)/parley

help:
	@echo "make               build/parley (CC=clang, VARIANT=asan|tsan, WERROR=, REDIS=no change it)"
	@echo "make run           build, then chat at http://127.0.0.1:$(PORT) until Ctrl-C (PORT=... changes it)"
	@echo "make test          everything below, and the unit tests once more under ASan and UBSan"
	@echo "make test-unit     cmocka programs of tests/unit (test-asan, test-tsan: with sanitizers)"
	@echo "make test-system   tests/system: behind real lighttpd and nginx, against a mock provider"
	@echo "make test-browser  tests/browser: the page in Chromium"
	@echo "make test-cost     instructions per delta and per reply, against tests/bench/cost.json"
	@echo "make style         layers, lengths, format, cppcheck, banned calls, repository hygiene"
	@echo "make format        clang-format over all C files"
	@echo "make docs          docs/CONFIGURATION.md and .env.example from the option table"
	@echo "make web           the page and its assets into build/web"
	@echo "make bench         Parley against others (BENCH=a,b: scenarios; BENCH_QUICK=1: less); docs/PERFORMANCE.md"
	@echo "make deps          install the Debian packages for all of this"
	@echo "make install       DESTDIR= PREFIX=$(PREFIX)"
	@echo "make deb           a Debian package in build/"
	@echo "make dist          a tarball for shared hosts in build/"
	@echo "make test-packages both, and the Docker images' steps, in fresh minimal Debians (root, network, debootstrap)"
	@echo "make clean         remove build/"

# ---- the program ----

say = $(if $(V),,@echo "  $(1) $@";)

$(OUT)/parley: $(MAIN_OBJECT) $(OUT)/libparley.a
	$(call say,LD) $(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

$(OUT)/libparley.a: $(LIB_OBJECTS)
	@rm -f $@
	@ar rcs $@ $^

$(OUT)/obj/%.o: %.c $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,CC) $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

# Changes only when the compiler or a flag does; everything compiled depends on it.
FLAGS_LINE := $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(LDFLAGS_ALL) $(LIBS)
$(OUT)/flags: FORCE
	@mkdir -p $(@D)
	@pkg-config --exists $(PACKAGES) || \
	    { echo "Development packages are missing ($(PACKAGES)): 'make deps' installs them." >&2; exit 1; }
	@printf '%s\n' $(call quote,$(FLAGS_LINE)) | cmp -s - $@ || printf '%s\n' $(call quote,$(FLAGS_LINE)) >$@
FORCE:
quote = '$(subst ','\'',$(1))'

-include $(patsubst %.o,%.d,$(LIB_OBJECTS) $(MAIN_OBJECT)) $(UNIT_TESTS:=.d)

# ---- generated sources ----

build/gen/migrations.c: sql/embed.sh $(wildcard sql/sqlite/*.sql)
	@mkdir -p $(@D)
	$(call say,GEN) sh sql/embed.sh sql/sqlite >$@.new && mv $@.new $@

build/gen/assets.c: web/embed.sh build/web/.built
	@mkdir -p $(@D)
	$(call say,GEN) sh web/embed.sh build/web >$@.new && mv $@.new $@

web: build/web/.built

build/web/.built: node_modules/.package-lock.json docs/openapi.json $(shell find web -type f 2>/dev/null)
	node web/build.mjs
	@touch $@

node_modules/.package-lock.json: package-lock.json
	npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# ---- run ----

deps:
	sh deploy/install-deps.sh build run test

# The makes below start anew because pkg-config has answers only now.
run:
	@sh deploy/install-deps.sh build run
	@$(MAKE) all
	@PORT=$(PORT) sh deploy/run.sh

# ---- tests ----

test:
	@sh deploy/install-deps.sh build run test
	@$(MAKE) all unit-programs
	@$(MAKE) VARIANT=asan all unit-programs
	@$(MAKE) test-unit
	@$(MAKE) test-system
	@$(MAKE) test-browser
	@$(MAKE) test-asan
	@$(MAKE) test-cost
	@$(MAKE) style
	@echo "make test: everything passed"

$(OUT)/unit/%: tests/unit/%.c $(OUT)/libparley.a $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,CC) $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(LDFLAGS_ALL) -MMD -MP -o $@ $< $(OUT)/libparley.a \
	    $(UNIT_LIBS) $(UNIT_LIBS_$*) $(LIBS)

unit-programs: $(UNIT_TESTS)

test-unit: unit-programs
	@sh tests/unit/run.sh $(UNIT_TESTS)

test-asan:
	@echo "--- unit tests under AddressSanitizer and UndefinedBehaviorSanitizer"
	@$(MAKE) VARIANT=asan test-unit

test-tsan:
	@$(MAKE) VARIANT=tsan test-unit

# PARLEY is the program under test: PARLEY=build/asan/parley runs the system tests on another one.
PARLEY ?= build/parley
NODE_TEST := PARLEY=$(abspath $(PARLEY)) node --test --test-reporter=tap

test-system: all
	@$(NODE_TEST) $(SYSTEM_TESTS)

test-browser: all node_modules/.package-lock.json
	@$(NODE_TEST) --test-concurrency=3 $(filter-out $(ALONE),$(BROWSER_TESTS))
	@$(NODE_TEST) $(ALONE)

test-cost: all
	@node tests/bench/cost.mjs

style: all
	@sh tests/style/run.sh

format:
	clang-format -i $(SOURCES) $(HEADERS) $(wildcard tests/unit/*.c tests/unit/*.h)

bench: all
	@ulimit -n 20000; node tests/bench/run.mjs

# The figures of the last run into docs/PERFORMANCE.md.
bench-publish:
	@node tests/bench/publish.mjs

# ---- documents, installation ----

docs: all
	build/parley print-config-docs >docs/CONFIGURATION.md.new
	@mv docs/CONFIGURATION.md.new docs/CONFIGURATION.md
	build/parley print-env-example >.env.example.new
	@mv .env.example.new .env.example

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/parley $(DESTDIR)$(PREFIX)/share/doc/parley
	install -m 755 build/parley $(DESTDIR)$(PREFIX)/bin/parley
	install -m 644 lighttpd.conf nginx.conf.example .env.example $(DESTDIR)$(PREFIX)/share/parley/
	install -m 644 README.md LICENSE $(wildcard docs/*.md) $(DESTDIR)$(PREFIX)/share/doc/parley/

deb: all
	@sh deploy/debian/build.sh

dist: all
	@CC='$(CC)' sh deploy/dist/build.sh

# Not part of `make test`: downloads a minimal Debian and packages.
test-packages: deb dist
	@sh tests/packages/dist.sh
	@sh tests/packages/deb.sh
	@sh tests/packages/docker.sh

clean:
	rm -rf build
