#!/usr/bin/env bash
# Rebuilds connector.wasm from guest.c and the contract. Wants on PATH:
#   wit-bindgen   cargo install wit-bindgen-cli@0.61.1 --no-default-features --features c
#   wasm-tools    cargo install wasm-tools@1.258.0 --no-default-features --features component
# and a C compiler for wasm32-wasi with a libc, by default zig (pip install ziglang):
#   CC="python3 -m ziglang cc" ./build.sh
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
: "${CC:=zig cc}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

wit-bindgen c ../../../wit/connector --world connector --out-dir "$work"
# shellcheck disable=SC2086 # the compiler may be several words
$CC --target=wasm32-wasi -mexec-model=reactor -std=c23 -Os -Wall -Wextra -Werror -s \
  -I"$work" guest.c "$work/connector.c" "$work/connector_component_type.o" -o "$work/core.wasm"
wasm-tools component new "$work/core.wasm" -o connector.wasm
ls -l connector.wasm
