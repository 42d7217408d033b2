// A component for the tests: it does what `do` in its settings says; with `first`, to the first event alone.
import config from "postrider:sink/config@1.0.0";
import http from "postrider:sink/http@1.0.0";
import log from "postrider:sink/log@1.0.0";
import clock from "postrider:sink/clock@1.0.0";
import environment from "wasi:cli/environment@0.2.3";
import preopens from "wasi:filesystem/preopens@0.2.3";
import network from "wasi:sockets/instance-network@0.2.3";

const settings = () => JSON.parse(config.settings());
const failed = (reason, more) => ({
  tag: "failed",
  val: { kind: "sink-error", reason, counts: true, wait: { tag: "none" }, ...more },
});
const hoard = [];

function send(event, url) {
  const headers = [["webhook-id", event.id], ["postrider-attempt", String(event.attempt)]];
  if (settings().authorization) headers.push(["authorization", settings().authorization]);
  try {
    const answer = http.send({ method: "POST", url, headers, body: event.body });
    if (answer.status < 300) return { tag: "delivered" };
    return failed(`answered ${answer.status}: ${answer.body.slice(0, 100)}`, { kind: "http-error" });
  } catch (error) {
    return failed((error.payload ?? error).message);
  }
}

const WAYS = {
  transform(event) {
    const body = JSON.parse(event.body);
    return JSON.stringify({ text: `${body.data.message_id} was ${body.event}`, details: body.data.details })
      ? { tag: "delivered" }
      : failed("no text");
  },
  send: (event) => send(event, settings().url),
  hang() {
    for (;;);
  },
  throw() {
    throw new Error("no such table");
  },
  allocate() {
    for (;;) hoard.push(new Uint8Array(4 << 20));
  },
  recurse() {
    const deeper = (n) => deeper(n + 1) + 1;
    return deeper(0);
  },
  leak() {
    hoard.push(new Uint8Array(1 << 20).fill(1));
    return { tag: "delivered" };
  },
  flood() {
    for (let line = 0; line < 100_000; line++) log.write("info", `line ${line} ${"x".repeat(2000)}`);
    return { tag: "delivered" };
  },
  nonsense: () => ({ tag: "it went well" }),
  number: () => 7,
  reject: () => ({ tag: "reject", val: "no such table\u0007\nat all" }),
  gone: () => ({ tag: "suspend", val: "closed" }),
  busy: () => failed("full", { counts: false, wait: { tag: "endpoint", val: 5000 } }),
  later: () => failed("", { wait: { tag: "delivery", val: 1e12 } }),
  environment: () => failed(`${environment.getEnvironment()}`),
  files: () => failed(`${preopens.getDirectories()}`),
  sockets: () => failed(`${network.instanceNetwork()}`),
  // Refused, and it says nothing of it.
  undeclared(event) {
    send(event, "https://elsewhere.example/in");
    return failed("it did not work");
  },
  now: () => failed(`${clock.now()} ${clock.left()} ${new Date().getUTCFullYear()} ${Math.random() < 1}`),
};

export const delivery = {
  deliver(event) {
    const { do: way, first } = settings();
    if (first && event.id !== "evt_first") return send(event, settings().url);
    return WAYS[way](event);
  },
};
