# docker-watcher. `make help` lists the targets.

PREFIX ?= /usr/local
LUA ?= lua5.4
CC ?= cc
CLANG ?= clang
LUACHECK ?= luacheck
CPPCHECK ?= cppcheck
PKG_CONFIG ?= pkg-config
SECS ?= 60
BUILD ?= build

MAKEFLAGS += --no-builtin-rules
WARNINGS := -Wall -Wextra -Wshadow -Wconversion
CFLAGS ?= -O2 -g
# Asked for once, and not before a recipe needs it: `make` may install the packages first.
NEEDED := libcurl libuv libsodium libarchive
LIB_CFLAGS = $(eval LIB_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(LUA) $(NEEDED) 2>/dev/null \
               || $(PKG_CONFIG) --cflags lua $(NEEDED)))$(LIB_CFLAGS)
LIB_DIRS = $(eval LIB_DIRS := $(shell $(PKG_CONFIG) --libs-only-L $(NEEDED) 2>/dev/null))$(LIB_DIRS)
ALL_CFLAGS = -std=gnu11 -fPIC $(WARNINGS) $(CFLAGS) $(SANITIZE)
LIBS := -lcurl -luv -lsodium
ifeq ($(shell uname -s),Darwin)
  SHARED := -bundle -undefined dynamic_lookup
else
  # nodelete: Lua unloads modules at exit, and libraries that started threads or exit handlers must stay.
  SHARED := -shared -Wl,-z,nodelete -Wl,--as-needed
endif
# Another sanitized build beside the normal one: make BUILD=build/asan SANITIZE="$(ASAN)".
ASAN := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all

# core.so is the door (src/core.c), native.so the core itself. tar.so has libarchive, which only some programs need.
DOOR := $(BUILD)/docker_watcher/core.so
CORE := $(BUILD)/docker_watcher/native.so
CORE_C := $(filter-out src/core.c,$(wildcard src/*.c))
TAR := $(BUILD)/docker_watcher/tar.so
TAR_C := $(wildcard src/tar/*.c) src/buf.c src/lx.c
# What only specs load: units of the core with a thin Lua face each (spec/support/NAME.c).
jsonprobe_C := src/json.c src/jsonlua.c src/buf.c src/ops.c src/lx.c src/ref.c
pureprobe_C := src/ref.c src/auth.c src/endpoint.c src/frames.c src/httphead.c src/jsonseq.c src/json.c src/buf.c \
  src/sshwords.c src/tlswords.c
transportprobe_C := $(filter-out src/native.c,$(CORE_C))
PROBES := $(patsubst %.c,$(BUILD)/%.so,$(wildcard spec/support/*probe.c))
LUA_FILES = $(shell find lua -name '*.lua' | sort)
SPEC_C = $(wildcard spec/*/*.c)
SCRIPTS = $(shell grep -rlE --exclude-dir=corpus '^\#!/bin/(ba)?sh' .ci spec examples) spec/support/common.sh
PYTHONS = $(shell grep -rlE --exclude-dir=corpus '^\#!/usr/bin/python3' spec examples)

.PHONY: all probes install deps demo test lint asan fuzz bench doc rockspec clean help
.DELETE_ON_ERROR:

all: $(CORE) $(DOOR) $(TAR)

help:
	@echo 'make                        build the C core into $(BUILD)/'
	@echo 'make install PREFIX=DIR     share/lua/5.4, lib/lua/5.4 and bin/docker-watcher there ($(PREFIX))'
	@echo 'make deps                   install the Debian packages for everything below'
	@echo 'make demo                   watch a new version being deployed, on a real engine and registry'
	@echo 'make test                   all specs, real engine and registry included'
	@echo 'make test ENGINES=all       … and on newer Engines and podman (or some of them: spec/support/run --help)'
	@echo 'make lint                   luacheck, strict compiler warnings, cppcheck'
	@echo 'make asan                   specs under sanitizers and valgrind'
	@echo 'make fuzz SECS=60           each fuzz target for so many seconds'
	@echo 'make bench                  speed and memory beside plain C programs'
	@echo 'make doc                    the API reference as HTML into $(BUILD)/doc'
	@echo 'make rockspec               bring the lists of the rockspec up to date with the tree'
	@echo 'make clean'
	@echo 'One spec: spec/support/run spec/unit/ref_spec.lua'

# --- build ---------------------------------------------------------------------------------------------------------

$(BUILD)/.deps: spec/support/deps
	@spec/support/deps build
	@mkdir -p $(@D) && touch $@

$(BUILD)/%.o: %.c Makefile | $(BUILD)/.deps
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(CPPFLAGS) $(LIB_CFLAGS) -iquote src -MMD -MP -c $< -o $@

$(CORE): $(CORE_C:%.c=$(BUILD)/%.o)
	@mkdir -p $(@D)
	$(CC) $(SHARED) $(SANITIZE) $(LDFLAGS) $(LIB_DIRS) $^ $(LIBS) -o $@

$(DOOR): $(BUILD)/src/core.o
	@mkdir -p $(@D)
	$(CC) $(SHARED) $(SANITIZE) $(LDFLAGS) $^ -ldl -o $@

$(TAR): $(TAR_C:%.c=$(BUILD)/%.o)
	@mkdir -p $(@D)
	$(CC) $(SHARED) $(SANITIZE) $(LDFLAGS) $(LIB_DIRS) $^ -larchive -lpthread -o $@

probes: $(PROBES)

.SECONDEXPANSION:
$(BUILD)/spec/support/%.so: $(BUILD)/spec/support/%.o $$(addprefix $(BUILD)/,$$(addsuffix .o,$$(basename $$($$*_C))))
	$(CC) $(SHARED) $(SANITIZE) $(LDFLAGS) $(LIB_DIRS) $^ $(LIBS) -o $@
.SECONDARY:

-include $(patsubst %.c,$(BUILD)/%.d,$(CORE_C) src/core.c $(TAR_C) $(wildcard spec/support/*probe.c))

# --- install -------------------------------------------------------------------------------------------------------

share := $(DESTDIR)$(PREFIX)/share/lua/5.4
lib := $(DESTDIR)$(PREFIX)/lib/lua/5.4

# The command finds its modules beside itself, so that the installed tree can be moved.
define LAUNCHER
#!/bin/sh
self=$$(readlink -f "$$0")
prefix=$${self%/bin/*}
LUA_PATH_5_4="$$prefix/share/lua/5.4/?.lua;$$prefix/share/lua/5.4/?/init.lua;$${LUA_PATH_5_4-$${LUA_PATH-;;}}"
LUA_CPATH_5_4="$$prefix/lib/lua/5.4/?.so;$${LUA_CPATH_5_4-$${LUA_CPATH-;;}}"
export LUA_PATH_5_4 LUA_CPATH_5_4
exec $(LUA) "$$prefix/share/lua/5.4/docker_watcher/main.lua" "$$@"
endef
export LAUNCHER

install: all
	@mkdir -p '$(lib)/docker_watcher' '$(DESTDIR)$(PREFIX)/bin'
	@for f in $(LUA_FILES:lua/%=%); do install -D -m 644 "lua/$$f" '$(share)'/"$$f" || exit 1; done
	@install -m 755 $(CORE) $(DOOR) $(TAR) '$(lib)/docker_watcher/'
	@printf '%s\n' "$$LAUNCHER" >'$(DESTDIR)$(PREFIX)/bin/docker-watcher'
	@chmod 755 '$(DESTDIR)$(PREFIX)/bin/docker-watcher'
	@echo 'installed in $(DESTDIR)$(PREFIX)'

# --- check ---------------------------------------------------------------------------------------------------------

deps:
	@spec/support/deps
	@echo 'all packages are installed'

demo:
	@spec/support/deps build test
	@$(MAKE) --no-print-directory -s all
	@examples/demo

test:
	@spec/support/deps build test $(if $(filter-out docker,$(ENGINES)),matrix)
	@spec/support/run

asan:
	@spec/support/deps build test asan
	@spec/support/run --asan

lint:
	@spec/support/deps build lint
	@echo '== luacheck'
	@$(LUACHECK) -q .busted .luacheckrc lua spec doc doc/build $(wildcard examples)
	@echo '== $(CC) -Werror $(WARNINGS)'
	@$(CC) -std=gnu11 $(WARNINGS) -Werror -fsyntax-only $(LIB_CFLAGS) -iquote src src/*.c src/tar/*.c $(SPEC_C)
	@echo '== cppcheck'
	@$(CPPCHECK) --quiet --enable=warning,performance,portability --error-exitcode=1 --inline-suppr \
	  --std=c11 --suppress=missingIncludeSystem -Isrc src
	@echo '== bash -n, python3'
	@for f in $(SCRIPTS); do bash -n "$$f" || exit 1; done
	@python3 -c 'import ast, sys; [ast.parse(open(f).read(), f) for f in sys.argv[1:]]' $(PYTHONS)
	@echo 'lint: nothing to complain about'

fuzz:
	@spec/support/deps build fuzz
	@CLANG='$(CLANG)' CFLAGS='$(LIB_CFLAGS)' spec/support/fuzz $(SECS)

bench:
	@spec/support/deps build test bench
	@$(MAKE) --no-print-directory -s all
	@spec/bench/run

doc:
	@spec/support/deps build doc
	@$(MAKE) --no-print-directory -s all
	@DW_BUILD=$(BUILD) doc/build $(BUILD)/doc
	@echo 'the API reference is $(BUILD)/doc/index.html'

rockspec:
	$(LUA) spec/support/rockspec

clean:
	rm -rf build
