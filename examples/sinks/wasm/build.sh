#!/bin/sh
# Makes a component of main.js: sink.wasm, or what the first argument names. npm fetches what builds it, once, into
# node_modules, or into the folder that COMPONENTIZE names.
set -eu
cd "$(dirname "$0")"
tools="${COMPONENTIZE:-.}"
[ -e sink.wit ] && wit=sink.wit || wit=../../../plugins/wasm/wit
[ -e "$tools/node_modules/componentize-qjs" ] ||
    npm install --no-save --silent --no-audit --no-fund --prefix "$tools" componentize-qjs@0.4.5
"$tools/node_modules/.bin/componentize-qjs" --sync --opt-size --wit "$wit" --world checked-sink \
    --js main.js --output "${1:-sink.wasm}"
