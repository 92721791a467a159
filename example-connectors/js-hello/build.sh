#!/bin/sh
# Makes js-hello.wasm of src, manifest.json and wit. Needs Node 20.11 or newer.
set -eu
cd "$(dirname "$0")"
# Not `npm ci`, which insists on the compiler for every platform: the lock file has
# those that there are.
npm install --no-save --no-audit --no-fund
node build.mjs js-hello.wasm
