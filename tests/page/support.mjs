// What the browser test is made of: a daemon of its own, a receiver that does as told, a browser, and a way to look.
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { chownSync, mkdtempSync, mkdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const tools = createRequire(join(process.env.PAGE_TOOLS, "package.json"));
const { chromium } = tools("playwright-core");
const axe = readFileSync(tools.resolve("axe-core/axe.min.js"), "utf8");

/** Looks until it is so. */
export async function until(what, look, ms = 15000) {
  const end = Date.now() + ms;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited ${ms} ms in vain until ${what}`);
    await new Promise((done) => setTimeout(done, 25));
  }
}

/** A subscriber's server. Each path answers what it was told last. */
export async function receiver() {
  const paths = new Map();
  const of = (path) => {
    if (!paths.has(path)) paths.set(path, { status: 200, headers: {}, body: "", basic: null, requests: [] });
    return paths.get(path);
  };
  const prefixes = new Map();
  const anyOf = (url) => [...prefixes].find(([prefix]) => url.startsWith(prefix))?.[1];
  const server = createServer((request, response) => {
    const path = anyOf(request.url) ?? of(request.url);
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      path.requests.push({ headers: request.headers, body: Buffer.concat(parts).toString() });
      const known = !path.basic || request.headers.authorization === `Basic ${Buffer.from(path.basic).toString("base64")}`;
      if (known) response.writeHead(path.status, path.reason, path.headers);
      else response.writeHead(401, { "www-authenticate": 'Basic realm="acme"' });
      response.end(known ? path.body : "who are you?");
    });
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const origin = `http://127.0.0.1:${server.address().port}`;
  /** Whatever begins so, queries included. */
  const any = (prefix) => { prefixes.set(prefix, of(prefix)); return of(prefix); };
  return { of, any, url: (path) => origin + path, close: () => { server.closeAllConnections(); server.close(); } };
}

/** The real daemon, with a folder that goes with it. */
export async function daemon(config, files, { uid, login } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "postrider-page-"));
  mkdirSync(join(folder, "endpoints"));
  writeFileSync(join(folder, "postrider.toml"), config);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, "endpoints", name), text);
  const ready = join(folder, "ready");
  let log = "";
  if (uid) {
    // Its own folder, but for the endpoints, which it may only read.
    chownSync(folder, uid, uid);
  }
  const child = spawn(process.env.POSTRIDER_BINARY, ["run", "-c", join(folder, "postrider.toml"), "--ready-file", ready], { stdio: ["ignore", "pipe", "pipe"], ...(uid ? { uid, gid: uid } : {}) });
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => { log += text; });
  const gone = new Promise((done) => child.on("exit", done));
  const at = await until("the daemon is ready", () => {
    if (child.exitCode !== null) throw new Error(`the daemon ended:\n${log}`);
    try { return JSON.parse(readFileSync(ready, "utf8")); } catch { return null; }
  }, 30000);
  return {
    origin: `http://${at.admin}`,
    log: () => log,
    /** Events that were taken. */
    posted: 0,
    remove: (name) => unlinkSync(join(folder, "endpoints", name)),
    write: (name, text) => writeFileSync(join(folder, "endpoints", name), text),
    read: (name) => readFileSync(join(folder, "endpoints", name), "utf8"),
    async post(events) {
      const answer = await fetch(`http://${at.ingress}/v1/events`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(events) });
      if (answer.status !== 202) throw new Error(`${answer.status}: ${await answer.text()}`);
      this.posted += events.length;
      return answer.json();
    },
    /** Events that may be refused. */
    offer: async (events, headers) => {
      const answer = await fetch(`http://${at.ingress}/v1/events`, { method: "POST", headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(events) });
      await answer.arrayBuffer();
    },
    letters: async () => (await (await fetch(`http://${at.admin}/api/v1/dead-letters?endpoint=hostile&limit=100`)).json()).dead_letters,
    status: async (name) => (await (await fetch(`http://${at.admin}/api/v1/status`, login ? { headers: { authorization: `Basic ${Buffer.from(login).toString("base64")}` } } : {})).json()).endpoints.find((endpoint) => endpoint.name === name),
    async resume(name) {
      const answer = await fetch(`http://${at.admin}/api/v1/endpoints/${name}/resume`, { method: "POST", headers: { "content-type": "application/json" } });
      if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`);
    },
    async close() {
      child.kill("SIGKILL");
      await gone;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A browser that asks nobody but the daemon, and complains of every error on a page. */
export async function browser(origin) {
  const running = await chromium.launch({
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  const context = await running.newContext({ viewport: { width: 1280, height: 860 }, locale: "en-GB", timezoneId: "Europe/Berlin", bypassCSP: false });
  const page = await context.newPage();
  page.setDefaultTimeout(10000);
  // A style sheet can be tried before it is built: PAGE_ASSETS names its folder.
  const assets = process.env.PAGE_ASSETS;
  if (assets) await page.route("**/assets/**", (route) => route.fulfill({ path: join(assets, route.request().url().split("/").at(-1)) }));
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(`script: ${error.message}`));
  page.on("console", (message) => {
    // A refused save answers 4xx on purpose, and the browser says so.
    if (message.type() === "error" && !/status of 4\d\d/.test(message.text())) wrong.push(`console: ${message.text()}`);
  });
  page.on("request", (request) => { if (!request.url().startsWith(origin) && !request.url().startsWith("data:")) wrong.push(`asked ${request.url()}`); });
  return { page, wrong, close: () => running.close() };
}

/** What axe finds, and what hangs out at the side. */
export async function accessible(page, name) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
  const said = found.violations.map((rule) => `${rule.id}: ${rule.help}\n    ${rule.nodes.slice(0, 3).map((node) => `${node.html.slice(0, 160)}\n      ${node.failureSummary}`).join("\n    ")}`);
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (over > 0) {
    const who = await page.evaluate(() => [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".hidden, pre, nav.tabs")).slice(0, 4).map((e) => e.outerHTML.slice(0, 120)));
    said.push(`${over} px wider than the window: ${who.join(" | ")}`);
  }
  return said.map((text) => `${name}: ${text}`);
}
