// Text that would like to be a script, put into everything that an endpoint, an event, an answer, a file or an address
// controls. None of it may run, be an element, or even be refused by the policy: it is text.
import assert from "node:assert/strict";

/** Each says which one it was, should it run. */
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
];

/** Nothing on the page was made from the corpus. */
async function clean(page, where) {
  const found = await page.evaluate(() => {
    const wrong = [...document.querySelectorAll("iframe, object, embed, base, img, math, style, meta[http-equiv], svg[onload], a[href^='javascript:' i], form[action*='evil'], link[href*='evil']")];
    const scripts = [...document.scripts].filter((script) => !script.src.includes("/assets/"));
    const handlers = [...document.querySelectorAll("*")].filter((node) => [...node.attributes].some((attribute) => attribute.name.startsWith("on")));
    return [...wrong, ...scripts, ...handlers].map((node) => node.outerHTML.slice(0, 120));
  });
  assert.deepEqual(found, [], where);
  assert.deepEqual(await page.evaluate(() => window.violations), [], where);
}

export async function hostile({ site, server, page, until }) {
  const dialogs = [];
  const heard = (dialog) => { dialogs.push(`${dialog.message()} at ${page.url()}`); dialog.dismiss(); };
  page.on("dialog", heard);
  await page.addInitScript(() => {
    window.violations = [];
    addEventListener("securitypolicyviolation", (event) => window.violations.push(`${event.violatedDirective}: ${event.blockedURI}`));
  });
  const all = CORPUS.join(" ");
  const visit = async (path) => { await page.goto(site.origin + path); await clean(page, path); };

  // What an endpoint's file controls: a comment, a header, its filter, its URL; and a file that is rejected for it.
  const toml = (text) => JSON.stringify(text.replaceAll("\u0000", "").replaceAll("\u2028", "").replaceAll("\u2029", ""));
  const quoted = JSON.stringify(all.replaceAll(/[\u0000\u2028\u2029"\\]/g, ""));
  site.write("hostile.toml", `# ${all.replaceAll(/[\u0000\n]/g, "")}
events = "all"
products = "all"
filter = ${toml(`data.message_id != ${quoted}`)}
[http]
url = "${server.url("/hostile")}?q=%3Cscript%3Ealert(20)%3C/script%3E'%22onload=alert(21)"
auth = { basic = { username = ${toml(all.replaceAll(":", ""))}, password = "p" } }
headers = { x-team = ${toml(all.replaceAll(/[^\x20-\x7e]/g, ""))} }
[retry]
schedule = ["1ms"]
`);
  site.write("rejected.toml", `events = [${CORPUS.map(toml).join(", ")}]\n${toml(all)} = 1\n`);
  await until("the hostile endpoint is there", async () => (await site.status("hostile"))?.state === "active");

  // What an answer controls: its body, its headers; what an event controls: everything in it.
  const target = server.any("/hostile");
  Object.assign(target, { status: 410, body: all, headers: { "content-type": "text/html", "x-evil": CORPUS[0], "www-authenticate": CORPUS[1] } });
  await site.post(CORPUS.map((text, n) => ({
    event: "sent", product: "crm", account: `a${n}`,
    data: { message_id: text, status: text, details: { [text]: text } },
  })));
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
  await visit("/reload-status");
  await visit("/deliveries?endpoint=hostile");
  await visit("/dead-letters?endpoint=hostile&ask=replay");
  await page.goto(`${site.origin}/dead-letters?endpoint=hostile`);
  await page.getByRole("link", { name: /^Attempts of/ }).first().click();
  await page.locator(".attempt").first().waitFor();
  for (const part of await page.locator(".opened summary").all()) await part.click();
  await clean(page, "an opened dead letter");

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
  site.remove("hostile.toml");
  site.remove("rejected.toml");
  page.off("dialog", heard);
  assert.deepEqual(dialogs, []);
}
