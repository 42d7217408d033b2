// Speaks the protocol with main.js: node --test
"use strict";
const assert = require("node:assert");
const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const test = require("node:test");

test("every event is stored and acknowledged once", () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "sink-"));
  const out = path.join(folder, "events.jsonl");
  const hello = { postrider: 1, endpoint: "test", in_flight: 16, settings: { path: out } };
  const events = [1, 2, 3].map((n) => ({ n, id: `evt_${n}`, attempt: 1, body: { data: n } }));
  const input = [hello, ...events].map((message) => JSON.stringify(message) + "\n").join("");
  const done = spawnSync(process.execPath, [path.join(__dirname, "main.js")], { input, timeout: 10_000 });
  const [ready, ...answers] = done.stdout.toString().trim().split("\n").map((line) => JSON.parse(line));
  assert.deepStrictEqual(ready, { postrider: 1 });
  answers.sort((a, b) => a.n - b.n);
  assert.deepStrictEqual(answers, [1, 2, 3].map((n) => ({ n, result: "ok" })));
  assert.strictEqual(fs.readFileSync(out, "utf8").trim().split("\n").length, 3);
  fs.rmSync(folder, { recursive: true });
});
