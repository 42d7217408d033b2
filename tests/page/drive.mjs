// The whole way through the settings page, in a real browser, against the real daemon: create an endpoint, get its
// password wrong, correct it, activate it; meet an edit on disk; see it held and resumed; replay its dead letters; see a
// rejected file. Every screen passes axe, wide and narrow, light and dark. With --shots DIR it takes their pictures.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { hostile, hostileNames } from "./hostile.mjs";
import { byKeyboard } from "./keys.mjs";
import { logins, readOnly } from "./others.mjs";
import { accessible, browser, daemon, receiver, until } from "./support.mjs";

const shots = process.argv.includes("--shots") ? process.argv[process.argv.indexOf("--shots") + 1] : null;
const server = await receiver();
const config = `version = 1
[ingress]
listen = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"
[network]
allow = ["127.0.0.0/8"]
[defaults]
retry = { schedule = ["5s", "5m", "30m", "2h", "5h", "10h", "14h", "20h", "24h"] }
`;
const other = (path, more = "") => `events = ["sent", "failed"]
products = ["campaigns"]
${more}
[http]
url = "${server.url(path)}"
auth = { basic = { username = "ops", password = "not shown" } }
`;
const site = await daemon(config, shots ? {
  "billing.toml": other("/billing", 'state = "paused"\naccount = "globex"'),
  "newcrm.toml": 'state = "draft"\n',
  "warehouse.toml": other("/warehouse"),
} : {});
const { page, wrong, close } = await browser(site.origin);
let failure;

const event = (name, n) => ({ event: name, product: "crm", data: { message_id: `wamid.${n}`, status: name, details: { n } } });
const open = async (path) => { await page.goto(site.origin + path); };
const text = (what) => page.locator(what).innerText();
/** One screen: for everybody, in every size and light. */
const screen = async (name, on = page) => {
  for (const [width, scheme] of shots ? [[1280, "light"], [1280, "dark"], [320, "light"], [320, "dark"]] : [[1280, "light"], [320, "dark"]]) {
    await on.setViewportSize({ width, height: width === 320 ? 720 : 860 });
    await on.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
    await on.mouse.move(0, 0);
    wrong.push(...await accessible(on, `${name} at ${width} px, ${scheme}`));
    if (!shots) continue;
    const height = await on.evaluate(() => document.documentElement.scrollHeight);
    await on.setViewportSize({ width, height: Math.max(height, 480) });
    await on.screenshot({ path: join(shots, `${name}-${width}-${scheme}.png`) });
  }
  await on.setViewportSize({ width: 1280, height: 860 });
  await on.emulateMedia({ colorScheme: "light" });
};
const step = async (words, does) => {
  const start = Date.now();
  await does();
  console.log(`ok  ${String(Date.now() - start).padStart(5)} ms  ${words}`);
};

try {
  if (!shots) await step("without endpoints the list says what to do", async () => {
    await open("/");
    assert.match(await text("main"), /No endpoints yet/);
    await screen("empty");
  });

  await step("what is missing is said beside the field and in a summary that takes the focus", async () => {
    await open("/new");
    await page.getByRole("button", { name: "None of the events" }).click();
    await page.getByRole("button", { name: "Save and Activate" }).click();
    assert.match(await text("#summary"), /There is a problem[\s\S]*Enter a name[\s\S]*Select at least one event[\s\S]*Enter the endpoint URL/);
    assert.equal(await page.evaluate(() => document.activeElement.closest("#summary") !== null), true);
    assert.equal(await page.locator("#url").getAttribute("aria-invalid"), "true");
    await screen("edit-errors");
  });

  await step("a wrong password: Test Event shows 401 and the remedy, and keeps what was typed", async () => {
    server.of("/acme").basic = "acme:right";
    await open("/new");
    await screen("edit-new");
    await page.getByLabel("Name", { exact: true }).fill("acme");
    await page.getByLabel("Endpoint URL").fill(server.url("/acme"));
    await page.getByLabel("User name and password").check();
    await page.getByLabel("User name", { exact: true }).fill("acme");
    await page.getByLabel("Password", { exact: true }).fill("wrong");
    await page.getByRole("button", { name: "Test Event" }).click();
    await page.locator("#test-result [data-verdict]").waitFor();
    assert.match(await text("#test-result"), /Not OK[\s\S]*401[\s\S]*refused the user name or password/);
    assert.equal(await page.getByLabel("Password", { exact: true }).inputValue(), "wrong");
    await screen("test-401");
  });

  await step("corrected, Test Event shows 200; nothing is saved yet", async () => {
    await page.getByLabel("Password", { exact: true }).fill("right");
    await page.getByRole("button", { name: "Test Event" }).click();
    await until("it says 200", async () => /OK\s+200/.test(await text("#test-result")) && !/Not OK/.test(await text("#test-result")));
    const request = server.of("/acme").requests.at(-1);
    assert.equal(request.headers["postrider-test"], "true");
    assert.equal(await site.status("acme"), undefined);
    await screen("test-200");
  });

  await step("Save and Activate writes the file, and an event arrives", async () => {
    await page.getByRole("button", { name: "Save and Activate" }).click();
    await page.waitForURL(/endpoints\/acme/);
    assert.match(await text("main"), /Saved and active/);
    assert.match(site.read("acme.toml"), /url = /);
    assert.doesNotMatch(site.read("acme.toml"), /right/);
    const before = server.of("/acme").requests.length;
    await site.post([event("delivered", 1), event("read", 1)]);
    await until("both arrive", () => server.of("/acme").requests.length === before + 2);
    assert.doesNotMatch(await page.content(), /acme:right|>right</);
    await screen("edit");
  });

  await step("an edit on disk while the page is open: both sides are shown, and the second save wins", async () => {
    await page.getByText("Retry and limits").click();
    await page.locator("#timeout").fill("4s");
    site.write("acme.toml", site.read("acme.toml").replace("[http]", "concurrency = 3\n\n# by hand\n[http]"));
    await page.getByRole("button", { name: "Save and Activate" }).click();
    await page.getByRole("heading", { name: /changed on disk after you opened this page/ }).waitFor();
    assert.match(await text("main"), /concurrency = 3/);
    assert.match(await text("main"), /timeout = "4s"/);
    await screen("collision");
    await page.getByRole("button", { name: "Save and Activate" }).click();
    await page.waitForURL(/done=active/);
    assert.match(site.read("acme.toml"), /# by hand/);
    assert.match(site.read("acme.toml"), /timeout = "4s"/);
  });

  await step("credentials must be entered again when the host changes", async () => {
    await open("/endpoints/acme");
    await page.getByLabel("Endpoint URL").fill("https://elsewhere.example/in");
    await page.getByRole("button", { name: "Save and Activate" }).click();
    assert.match(await text("#summary"), /Enter the credentials for the new one/);
  });

  await step("a failing endpoint is Held, with the reason; it resumes when told to", async () => {
    server.of("/acme").status = 503;
    await site.post(Array.from({ length: 8 }, (_, n) => event("sent", `held-${n}`)));
    await until("its breaker opens", async () => (await site.status("acme")).state === "open");
    await open("/endpoints/acme");
    assert.match(await text("#state-card"), /Held[\s\S]*since[\s\S]*next probe[\s\S]*none is dropped[\s\S]*503/);
    await screen("held");
    await open("/?state=held");
    assert.match(await text("#endpoints"), /Held[\s\S]*since[\s\S]*acme/);
    if (shots) await open("/");
    await screen("endpoints");
    server.of("/acme").status = 200;
    await open("/endpoints/acme");
    await page.getByRole("button", { name: "Resume now" }).click();
    await until("it is active and empty", async () => {
      const status = await site.status("acme");
      return status.state === "active" && status.ready + status.parked === 0;
    }, 20000);
    await page.reload();
    assert.match(await text("#state-card"), /Active/);
  });

  await step("Deliveries show what happened; one opened shows every attempt", async () => {
    await open("/deliveries?endpoint=acme");
    await page.getByRole("link", { name: /^Open dlv_/ }).first().click();
    await page.locator(".attempt").first().waitFor();
    assert.match(await text(".opened"), /Attempt 1/);
    await screen("deliveries");
  });

  await step("Follow brings what is new without a reload", async () => {
    await open("/deliveries");
    await page.getByLabel("Follow").check();
    await site.post([event("failed", "followed")]);
    await page.getByText("wamid.followed").first().waitFor();
  });

  await step("dead letters are listed by reason, replayed with progress, and arrive", async () => {
    server.of("/acme").status = 410;
    await site.post([event("sent", "dead-1")]);
    await until("it is dead", async () => (await site.status("acme")).dead === 1);
    await open("/dead-letters?reason=gone");
    assert.match(await text("#letters"), /the server answered 410[\s\S]*wamid\.dead-1/);
    await screen("dead-letters");
    await page.getByRole("link", { name: /^Attempts of/ }).first().click();
    await page.getByRole("button", { name: "Send again" }).waitFor();
    assert.match(await text(".opened"), /Attempt 1[\s\S]*410/);
    await screen("delivery-dead");
    server.of("/acme").status = 200;
    await open("/endpoints/acme");
    await page.getByRole("button", { name: "Resume now" }).click();
    await open("/dead-letters");
    await page.getByRole("link", { name: "Replay all…" }).click();
    await screen("dead-letters-replay");
    const before = server.of("/acme").requests.length;
    await page.getByRole("button", { name: "Replay", exact: true }).click();
    await until("it arrives", () => server.of("/acme").requests.length > before);
    await until("the page says so", async () => /Replayed: 1 of 1/.test(await text("#jobs")));
  });

  await step("a rejected file is shown with its place, and the endpoint keeps running", async () => {
    site.write("partner.toml", 'events = ["sent", "deliverd"]\nproducts = "all"\n[http]\nurl = "https://partner.example/in"\nauth = { basic = { username = "p", password = "q" } }\n');
    await open("/reload-status");
    await page.getByRole("button", { name: "Check again" }).click();
    await page.getByText(/partner\.toml:1:19/).first().waitFor();
    assert.match(await text("main"), /deliverd[\s\S]*delivered/);
    await screen("reload-status");
  });

  await step("the list is searched by keys alone", async () => {
    await open("/");
    await page.keyboard.press("/");
    await page.keyboard.type("acme");
    await page.keyboard.press("Enter");
    await page.waitForURL(/q=acme/);
    await page.keyboard.press("j");
    await page.keyboard.press("Enter");
    await page.waitForURL(/endpoints\/acme/);
  });

  await step("without scripts it lists, edits and saves", async () => {
    const context = await page.context().browser().newContext({ javaScriptEnabled: false });
    const plain = await context.newPage();
    await plain.goto(`${site.origin}/endpoints/acme`);
    // Every way is seen there, and what is entered for one that is not chosen is not lost without a word.
    await plain.getByLabel("Password", { exact: true }).fill("another");
    await plain.getByRole("button", { name: "Save and Activate" }).click();
    assert.match(await plain.locator("#summary").innerText(), /User name and password is not chosen above/);
    assert.equal(await plain.locator("#password").getAttribute("aria-invalid"), "true");
    await plain.goto(`${site.origin}/endpoints/acme`);
    await plain.getByRole("checkbox", { name: "Sent" }).uncheck();
    await plain.getByRole("button", { name: "Save and Activate" }).click();
    await plain.waitForURL(/done=active/);
    assert.doesNotMatch(site.read("acme.toml"), /"sent"/);
    await context.close();
  });

  await step("Edit says how many events of the last day it would have matched, as boxes are ticked", async () => {
    await open("/endpoints/acme");
    const count = async () => Number((await text("#matches")).replaceAll(",", ""));
    const all = await count();
    assert.ok(all > 0);
    await page.getByRole("button", { name: "None of the events" }).click();
    assert.equal(await count(), 0);
    await page.getByRole("checkbox", { name: "Failed" }).check();
    assert.equal(await count(), 1);
    assert.match(await text(".matches"), new RegExp(`1 of ${site.posted} events`));
  });

  await step("a file that is gone while deliveries wait: Removed, with what happens and the way out", async () => {
    site.write("leaver.toml", 'state = "paused"\nevents = "all"\nproducts = "all"\n[http]\nurl = "https://leaver.example/in"\nauth = { basic = { username = "a", password = "b" } }\n');
    await until("it is there", async () => (await site.status("leaver"))?.state === "paused");
    await site.post([event("sent", "left")]);
    await until("something waits", async () => (await site.status("leaver")).ready === 1);
    site.remove("leaver.toml");
    await until("it is removed", async () => (await site.status("leaver"))?.state === "removed");
    await open("/?state=removed");
    await page.getByRole("link", { name: "leaver" }).click();
    assert.match(await text("main"), /leaver\.toml is gone[\s\S]*1 delivery is held[\s\S]*Put the file back/);
    assert.match(await text("#state-card"), /Removed[\s\S]*since/);
    await screen("removed");
  });

  await step("dead letters: those picked are deleted, all are exported, a replay is stopped halfway", async () => {
    server.of("/acme").status = 410;
    for (const n of [1, 2, 3, 4, 5, 6]) {
      await site.post([event("failed", `letter-${n}`)]);
      await until("it is dead", async () => (await site.status("acme")).dead === n);
      await site.resume("acme");
    }
    await open("/dead-letters?endpoint=acme");
    await page.getByLabel("Select all on this page").check();
    await page.getByLabel("Select all on this page").uncheck();
    await page.getByRole("row", { name: /letter-6/ }).getByRole("checkbox").check();
    await page.getByRole("button", { name: "Delete selected" }).click();
    await page.getByRole("heading", { name: "Delete the selected dead letter?" }).waitFor();
    assert.equal((await site.status("acme")).dead, 6, "it is asked about first");
    await screen("dead-letters-delete");
    await page.getByRole("button", { name: "Delete", exact: true }).click();
    await page.waitForURL(/done=deleted/);
    assert.equal((await site.status("acme")).dead, 5);
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Export NDJSON" }).click()]);
    assert.equal(readFileSync(await download.path(), "utf8").trim().split("\n").length, 5);
    server.of("/acme").status = 200;
    await page.getByRole("link", { name: "Replay all…" }).click();
    await page.getByLabel("Rate").fill("6/m");
    await page.getByRole("button", { name: "Replay", exact: true }).click();
    await page.getByText(/Replaying: \d of 5/).waitFor();
    await screen("replaying");
    await page.getByRole("button", { name: "Stop" }).click();
    await page.getByText(/Stopped: \d of 5/).waitFor();
    assert.ok((await site.status("acme")).dead > 0);
  });

  await step("every screen, with its style, script and mark, weighs less than 150 KB", async () => {
    const bytes = async (path) => (await (await fetch(site.origin + path)).arrayBuffer()).byteLength;
    for (const path of ["/", "/new", "/endpoints/acme", "/deliveries", "/dead-letters", "/reload-status", "/login"]) {
      const assets = new Set((await (await fetch(site.origin + path)).text()).match(/\/assets\/[^"]+/g));
      assert.equal(assets.size, 3, path);
      const sum = (await Promise.all([path, ...assets].map(bytes))).reduce((sum, part) => sum + part, 0);
      assert.ok(sum < 150_000, `${path} weighs ${sum} bytes`);
    }
  });

  await step("the whole way by keyboard alone", () => byKeyboard({ site, server, page, until }));
  await step("scripts in what comes from outside stay text, on every screen", () => hostile({ site, server, page }));
  await step("nor do names of events, products, accounts and logins run", () => hostileNames({ server, wrong }));
  await step("who signs in for an account sees, exports and deletes only what is its own", () => logins({ config, server, screen, wrong }));
  await step("a folder that cannot be written: the TOML is there to copy", () => readOnly({ config, server, screen, wrong }));

  await step("removed, it is gone from the list and from disk", async () => {
    await open("/endpoints/acme");
    await page.getByRole("link", { name: "Remove this endpoint" }).click();
    await screen("remove");
    await page.getByRole("button", { name: "Remove acme" }).click();
    await page.waitForURL(/done=removed/);
    assert.throws(() => site.read("acme.toml"));
  });

  assert.equal(wrong.length, 0, `${wrong.length} things are wrong:\n${[...new Set(wrong)].join("\n")}`);
} catch (error) {
  failure = error;
  console.error(error);
  console.error(`at ${page.url()}\n${await page.locator("main").innerText().catch(() => "")}`);
  console.error(`the daemon said:\n${site.log().slice(-3000)}`);
} finally {
  await close();
  await site.close();
  server.close();
}
process.exit(failure ? 1 : 0);
