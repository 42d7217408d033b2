#!/usr/bin/env node
// A Postrider sink for Node.js: appends every event to a file, one JSON object a line.
//
// An endpoint file that uses it:
//
//     events = "all"
//     products = "all"
//
//     [exec]
//     command = ["node", "print.js"]
//     dir = "/path/to/this/folder"
//     settings = { path = "/tmp/events.jsonl" }
"use strict";
const fs = require("node:fs");
const readline = require("node:readline");

let out;

// Delivers one event. What it throws asks for another attempt; set error.reject to reject the event for good.
async function store(message) {
  await out.appendFile(JSON.stringify({ id: message.id, body: message.body }) + "\n");
}

function say(answer) {
  process.stdout.write(JSON.stringify(answer) + "\n");
}

async function deliver(message) {
  try {
    await store(message);
    say({ n: message.n, result: "ok" });
  } catch (error) {
    const result = error.reject ? "reject" : "retry";
    say({ n: message.n, result, reason: String(error.message) });
  }
}

async function main() {
  if (process.stdin.isTTY) {
    console.error("Postrider starts this program and talks to it: postrider plugins test FOLDER tries it.");
    process.exit(2);
  }
  let ready = false;
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const message = JSON.parse(line);
    if (ready) {
      deliver(message); // Several at once; answers may come in any order.
      continue;
    }
    if (message.postrider !== 1) throw new Error(`this sink speaks version 1 of the protocol, not ${line}`);
    out = await fs.promises.open(message.settings.path, "a");
    ready = true;
    say({ postrider: 1 });
  }
}

main();
