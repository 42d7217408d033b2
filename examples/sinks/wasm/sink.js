// What this sink does with an event. `host` is what Postrider offers: main.js connects it, a test brings its own.
//
// An outcome is one of
//   { tag: "delivered" }
//   { tag: "failed", val: { kind, reason, counts, wait } }   tried again by the endpoint's schedule
//   { tag: "reject", val: "why" }                            this event will never be taken
//   { tag: "suspend", val: "why" }                           the destination is gone: the endpoint is held
// and sink.wit says what each part means.

// Everything that is wrong with the settings; Postrider shows it at the line of the endpoint's file.
export function check(settings) {
  if (typeof settings.url === "string" && /^https?:\/\//.test(settings.url)) return [];
  const help = "Write settings = { url = \"https://…\" }, and name its host in hosts.";
  return [{ path: settings.url === undefined ? [] : ["url"], message: "url is no URL", help }];
}

// What is sent: a text for people, as chat programs take it.
export function transform(event) {
  const { data } = JSON.parse(event.body);
  const text = `${event.product}: ${data.message_id} was ${event.event}`;
  return { event: event.event, text, details: data.details };
}

// Makes one attempt.
export function deliver(event, settings, host) {
  const headers = [["content-type", "application/json"], ["webhook-id", event.id]];
  if (settings.token) headers.push(["authorization", `Bearer ${settings.token}`]);
  let answer;
  try {
    const body = JSON.stringify(transform(event));
    answer = host.send({ method: "POST", url: settings.url, headers, body });
  } catch (error) {
    // What the world calls an error is in `payload`.
    const { kind, message } = error.payload ?? error;
    return failed(kind, String(message));
  }
  if (answer.status < 300) return { tag: "delivered" };
  if (answer.status === 410) return { tag: "suspend", val: "answered 410" };
  return failed("http-error", `answered ${answer.status}`, { counts: answer.status !== 422 });
}

const KINDS = ["http-error", "timeout", "dns", "connect", "tls"];

function failed(kind, reason, { counts = true, wait = { tag: "none" } } = {}) {
  return { tag: "failed", val: { kind: KINDS.includes(kind) ? kind : "sink-error", reason, counts, wait } };
}
