// Daemons of other kinds: one that asks for a login and has customers, and one whose folder cannot be written.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { browser, daemon, until } from "./support.mjs";

export const endpoint = (url, account) => `events = "all"
products = "all"
${account ? `account = ${JSON.stringify(account)}` : ""}
[http]
url = "${url}"
auth = { basic = { username = "ops", password = "not shown" } }
`;

/** Signs in, sees what is the account's, and nothing of anybody else's. */
export async function logins({ config, server, screen, wrong }) {
  const site = await daemon(config.replace('[admin]\nlisten = "127.0.0.1:0"', `[admin]
listen = "127.0.0.1:0"
[[admin.login]]
username = "anna"
password = "anna-password"
[[admin.login]]
username = "acme"
password = "acme-password"
account = "acme"`), {
    "own.toml": endpoint(server.url("/own"), "acme"),
    "theirs.toml": endpoint(server.url("/theirs"), "globex"),
    "everybodys.toml": endpoint(server.url("/everybodys")),
  }, { login: "anna:anna-password" });
  const window = await browser(site.origin);
  const { page } = window;
  const signIn = async (name, password) => {
    await page.getByLabel("User name").fill(name);
    await page.getByLabel("Password").fill(password);
    await page.getByRole("button", { name: "Sign in" }).click();
  };
  try {
    await page.goto(`${site.origin}/deliveries?endpoint=own`);
    await page.waitForURL(/\/login/);
    await screen("login", page);
    await signIn("acme", "wrong");
    await page.getByText("The user name or the password is wrong").waitFor();
    await signIn("acme", "acme-password");
    await page.waitForURL(/\/deliveries\?endpoint=own/);

    for (const path of ["/own", "/theirs", "/everybodys"]) server.of(path).status = 410;
    await site.post(["acme", "globex"].map((account) => ({ event: "sent", product: "crm", account, data: { message_id: `wamid.of-${account}`, status: "sent" } })));
    await until("all have failed", async () => (await Promise.all(["own", "theirs", "everybodys"].map(site.status))).every((one) => one.dead > 0));

    // Nothing of others: neither names, nor sums, nor the files of the machine.
    for (const path of ["/", "/new", "/endpoints/own", "/deliveries", "/dead-letters", "/dead-letters?ask=delete", "/deliveries?endpoint=theirs", "/deliveries?endpoint=everybodys"]) {
      const answer = await page.goto(site.origin + path);
      assert.equal(answer.status(), 200, path);
      const asked = path.split("=")[1] ?? "-";
      const text = (await page.content()).replaceAll(`value="${asked}"`, "");
      assert.doesNotMatch(text, /globex|theirs|everybodys|postrider\.toml|Reload status|Deliveries per minute|Age at delivery|Would have matched/, path);
    }
    await page.goto(`${site.origin}/`);
    assert.match(await page.locator("#endpoints").innerText(), /own/);
    await screen("account", page);
    for (const path of ["/endpoints/theirs", "/endpoints/everybodys", "/reload-status", "/metrics"]) {
      assert.ok([403, 404].includes((await page.goto(site.origin + path)).status()), path);
    }

    const before = await Promise.all(["everybodys", "theirs"].map(async (name) => (await site.status(name)).dead));
    // Export, and deleting everything, stop at the account's own.
    await page.goto(`${site.origin}/dead-letters`);
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Export NDJSON" }).click()]);
    const lines = readFileSync(await download.path(), "utf8").trim().split("\n").map((line) => JSON.parse(line));
    assert.deepEqual(lines.map((line) => line.delivery.endpoint), ["own"]);
    await page.getByRole("link", { name: "Delete all…" }).click();
    await page.getByRole("button", { name: "Delete", exact: true }).click();
    await until("its own are gone", async () => (await site.status("own")).dead === 0);
    assert.deepEqual(await Promise.all(["everybodys", "theirs"].map(async (name) => (await site.status(name)).dead)), before);

    // A session that is over, as after a restart of the daemon: an open page says so, Test Event does, and a form does.
    await page.goto(`${site.origin}/endpoints/own`);
    await page.context().clearCookies();
    await page.locator("#away", { hasText: "You are signed out" }).waitFor();
    assert.equal(await page.locator("#away a").getAttribute("href"), "/login?next=%2Fendpoints%2Fown");
    await page.getByRole("button", { name: "Test Event" }).click();
    await until("it is answered", async () => (await page.locator("[data-test][aria-busy]").count()) === 0);
    assert.equal((await page.locator("#test-result").innerText()).trim(), "");
    await page.getByRole("button", { name: "Save and Activate" }).click();
    await page.getByRole("heading", { name: "You are signed out" }).waitFor();
    await screen("signed-out", page);
    await page.getByRole("link", { name: "Sign in again" }).click();
    await signIn("acme", "acme-password");
    await page.waitForURL(`${site.origin}/`);

    await page.getByRole("button", { name: "Sign out" }).click();
    await page.waitForURL(/\/login/);
    assert.match((await page.goto(`${site.origin}/`)).url(), /\/login/);
    wrong.push(...window.wrong);
  } finally {
    await window.close();
    await site.close();
  }
}

/** A folder that cannot be written: what would have been is offered as text. */
export async function readOnly({ config, server, screen, wrong }) {
  // Root writes everywhere; somebody else does not.
  if (process.getuid() !== 0) return;
  const site = await daemon(config, { "acme.toml": endpoint(server.url("/acme")) }, { uid: 65534 });
  const window = await browser(site.origin);
  const { page } = window;
  try {
    await page.goto(`${site.origin}/endpoints/acme`);
    await page.getByRole("checkbox", { name: "Sent" }).uncheck();
    await page.getByRole("button", { name: "Save and Activate" }).click();
    await page.getByRole("heading", { name: /This directory is read-only/ }).waitFor();
    const toml = await page.locator("#toml-copy").innerText();
    assert.match(toml, /events = \["delivered", "read", "failed"\]/);
    assert.doesNotMatch(toml, /not shown|fingerprint/, "what is copied sets no password that is none");
    assert.match(toml, /^# Left out because it is secret: http\.auth\.basic\.password\n/);
    assert.match(toml, /auth = \{ basic = \{ username = "ops" \} \}/);
    assert.doesNotMatch(site.read("acme.toml"), /delivered/);
    await screen("read-only", page);
    wrong.push(...window.wrong);
  } finally {
    await window.close();
    await site.close();
  }
}
