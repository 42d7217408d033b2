"""Speaks the protocol with main.py: python3 test_main.py"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))


def talk(path, *messages):
    hello = {"postrider": 1, "endpoint": "test", "in_flight": 16, "settings": {"path": path}}
    lines = "".join(json.dumps(message) + "\n" for message in [hello, *messages])
    command = [sys.executable, os.path.join(HERE, "main.py")]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=10, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


class SinkTest(unittest.TestCase):
    def test_every_event_is_stored_and_acknowledged_once(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "events.jsonl")
            events = [{"n": n, "id": f"evt_{n}", "attempt": 1, "body": {"data": n}} for n in range(1, 4)]
            ready, *answers = talk(path, *events)
            self.assertEqual(ready, {"postrider": 1})
            self.assertEqual(answers, [{"n": n, "result": "ok"} for n in range(1, 4)])
            with open(path, encoding="utf-8") as stored:
                self.assertEqual([json.loads(line)["id"] for line in stored], ["evt_1", "evt_2", "evt_3"])


if __name__ == "__main__":
    unittest.main()
