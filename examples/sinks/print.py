#!/usr/bin/env python3
"""A Postrider sink in Python: appends every event to a file, one JSON object a line.

An endpoint file that uses it:

    events = "all"
    products = "all"

    [exec]
    command = ["python3", "print.py"]
    dir = "/path/to/this/folder"
    settings = { path = "/tmp/events.jsonl" }
"""
import json
import sys


def store(out, message):
    """Delivers one event. Raise OSError to be asked again later, ValueError to reject the event for good."""
    out.write(json.dumps({"id": message["id"], "body": message["body"]}) + "\n")
    out.flush()


def main():
    if sys.stdin.isatty():
        sys.exit(__doc__ + "\nPostrider starts it and talks to it: postrider plugins test FOLDER tries it.")
    hello = json.loads(sys.stdin.readline())
    if hello.get("postrider") != 1:
        sys.exit(f"this sink speaks version 1 of the protocol, not {hello}")
    with open(hello["settings"]["path"], "a", encoding="utf-8") as out:
        print('{"postrider":1}', flush=True)
        for line in sys.stdin:
            message = json.loads(line)
            answer = {"n": message["n"], "result": "ok"}
            try:
                store(out, message)
            except OSError as error:
                answer.update(result="retry", reason=str(error), after_ms=5000)
            except ValueError as error:
                answer.update(result="reject", reason=str(error))
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
