#!/bin/sh
# Speaks the protocol with main.sh: sh test.sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

wanted='{"postrider":1}
{"n":1,"result":"ok"}
{"n":2,"result":"ok"}'
got=$(printf '%s\n' \
    '{"postrider":1,"endpoint":"test","in_flight":16,"settings":{}}' \
    '{"n":1,"id":"evt_1","attempt":1,"body":{}}' \
    '{"n":2,"id":"evt_2","attempt":1,"body":{}}' | OUT="$folder/events" sh "$here/main.sh")
[ "$got" = "$wanted" ] || { echo "got: $got" >&2; exit 1; }
[ "$(wc -l <"$folder/events")" -eq 2 ] || { echo "not stored" >&2; exit 1; }
echo ok
