# Each target is the only command it needs: it installs what is missing first.
# Built as you, run as root: attaching containers takes privileges. All of it happens in network
# namespaces of its own.

SHELL := /bin/bash
TARGET := $(or $(CARGO_TARGET_DIR),target)

# What cargo and these targets put before a program that needs root.
ifneq ($(shell id -u),0)
AS_ROOT := sudo -E env PATH=$(PATH):/usr/sbin:/sbin
HOST := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p' | tr a-z- A-Z_)
export CARGO_TARGET_$(HOST)_RUNNER := $(AS_ROOT)
endif

.PHONY: help demo test bench lint fuzz setup clean

help:
	@echo 'make demo    a container, a gateway and a pulled plug, on this machine alone'
	@echo 'make test    every test, and every example configuration checked'
	@echo 'make bench   attaches, data planes side by side, a thousand sessions, kills, rekeys: timed'
	@echo 'make lint    format, clippy, documentation'
	@echo 'make fuzz    every parser and the packet path, a minute each (SECONDS_EACH=60)'
	@echo 'make setup   only install what the others need'
	@echo 'make clean   remove what was built'

demo:
	@scripts/quietly 'installing what the demo needs' scripts/setup demo
	@scripts/quietly 'compiling the agent' cargo build --bins
	@$(AS_ROOT) $(TARGET)/debug/egressctl demo

test:
	@scripts/setup test
	cargo test --workspace --no-fail-fast
	EGRESS_TEST_OFFLOAD=off cargo test --test it -- leaks:: roaming:: survival:: traffic::
	scripts/check-configs

bench:
	@scripts/setup bench
	cargo bench --workspace --benches

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy --manifest-path fuzz/Cargo.toml --target-dir $(TARGET) --no-default-features -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps

fuzz:
	scripts/fuzz $(or $(SECONDS_EACH),60)

setup:
	@scripts/setup test

clean:
	cargo clean
	rm -rf .tools
