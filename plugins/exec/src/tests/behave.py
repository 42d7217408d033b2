"""A program that behaves as its first argument says. Its second is a file that the ids it took are appended to."""
import json
import os
import signal
import subprocess
import sys
import time

how, log = sys.argv[1], sys.argv[2]


def say(value):
    print(json.dumps(value), flush=True)


def ok(message):
    with open(log, "a", encoding="utf-8") as out:
        out.write(message["id"] + "\n")
    say({"n": message["n"], "result": "ok"})


hello = json.loads(sys.stdin.readline())
if how == "never-ready":
    print("no module named kafka", file=sys.stderr, flush=True)
    os._exit(127)
if how == "future":
    say({"postrider": 2})
    time.sleep(60)
if how == "chatty":
    print("Hello!", flush=True)
    time.sleep(60)
say({"postrider": 1, "name": "behave"})
if how == "stays":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen(["sleep", "600"])
if how == "env":
    say({"n": 0, "result": "ok"})
    print(json.dumps({"env": dict(os.environ), "hello": hello, "dir": os.getcwd()}), file=open(log, "w"), flush=True)
held = []
for line in sys.stdin:
    message = json.loads(line)
    first = message["id"] == "evt_first"
    if how == "slow" and first:
        continue
    if how == "hangs":
        time.sleep(600)
    if how == "crashes" and first or how == "dies":
        print("Traceback: the disk is gone", file=sys.stderr, flush=True)
        os._exit(3)
    if how == "garbage" and first:
        print("delivered it!", flush=True)
        say({"n": message["n"], "result": "fine"})
        say([message["n"]])
        continue
    if how == "long" and first:
        print("x" * 200_000, flush=True)
    if how == "half":
        sys.stdout.write('{"n":%d,"resu' % message["n"])
        sys.stdout.flush()
        os._exit(0)
    if how == "floods" and first:
        sys.stdout.write("never an answer\n" * 2_000_000)
    if how == "unknown":
        say({"n": message["n"] + 1000, "result": "ok"})
    if how == "memory" and first:
        hoard = []
        while True:
            hoard.append(bytearray(1 << 20))
    if how == "rejects":
        say({"n": message["n"], "result": "reject", "reason": "no such table"})
        continue
    if how == "gone":
        say({"n": message["n"], "result": "gone", "reason": "the account was closed"})
        continue
    if how == "reversed":
        held.append(message)
        if len(held) == 16:
            for message in reversed(held):
                ok(message)
            held.clear()
        continue
    ok(message)
    if how == "duplicates":
        say({"n": message["n"], "result": "reject", "reason": "again"})
if how == "stays":
    time.sleep(600)
