// What sink.js does, without Postrider: node --test
import assert from "node:assert";
import test from "node:test";
import { check, deliver } from "./sink.js";

const event = {
  id: "evt_1",
  event: "delivered",
  product: "campaigns",
  body: '{"event":"delivered","timestamp":"2026-11-23T05:00:00Z","data":{"message_id":"m","status":"delivered","details":{}}}',
};
const settings = { url: "https://hooks.example/in", token: "t" };

test("an event is sent on, with its id", () => {
  const sent = [];
  const send = (request) => (sent.push(request), { status: 204 });
  assert.deepStrictEqual(deliver(event, settings, { send }), { tag: "delivered" });
  assert.strictEqual(sent[0].url, settings.url);
  assert.ok(sent[0].headers.some(([name, value]) => name === "webhook-id" && value === "evt_1"));
  assert.strictEqual(JSON.parse(sent[0].body).text, "campaigns: m was delivered");
});

test("what the destination says decides what becomes of the event", () => {
  const outcome = (status) => deliver(event, settings, { send: () => ({ status }) });
  assert.strictEqual(outcome(500).val.counts, true);
  assert.strictEqual(outcome(422).val.counts, false);
  assert.strictEqual(outcome(410).tag, "suspend");
  const refused = Object.assign(new Error(), { payload: { kind: "refused", message: "not declared" } });
  const send = () => {
    throw refused;
  };
  assert.strictEqual(deliver(event, settings, { send }).val.reason, "not declared");
});

test("settings without a URL are wrong", () => {
  assert.strictEqual(check({}).length, 1);
  assert.deepStrictEqual(check(settings), []);
});
