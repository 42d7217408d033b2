#!/bin/sh
# A Postrider sink for the shell: appends every line it gets to a file.
#
# An endpoint file that uses it:
#
#     events = "all"
#     products = "all"
#
#     [exec]
#     command = ["sh", "print.sh"]
#     dir = "/path/to/this/folder"
#     env = { OUT = "/tmp/events.jsonl" }

if [ -t 0 ]; then
    echo "Postrider starts this program and talks to it: postrider plugins test FOLDER tries it." >&2
    exit 2
fi

IFS= read -r hello
case "$hello" in
'{"postrider":1,'* | *'"postrider":1,'* | *'"postrider":1}'*) ;;
*)
    echo "this sink speaks version 1 of the protocol, not $hello" >&2
    exit 1
    ;;
esac
printf '{"postrider":1}\n'

while IFS= read -r line; do
    # n is always the first member: {"n":12,…
    n=${line#'{"n":'}
    n=${n%%,*}
    if printf '%s\n' "$line" >>"$OUT"; then
        printf '{"n":%s,"result":"ok"}\n' "$n"
    else
        printf '{"n":%s,"result":"retry","reason":"cannot write to %s"}\n' "$n" "$OUT"
    fi
done
