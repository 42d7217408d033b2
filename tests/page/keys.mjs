// The whole way by keyboard alone: no pointer, no focus set from outside, and what has the focus always shows it.
import assert from "node:assert/strict";

export async function byKeyboard({ site, server, page, until }) {
  const press = (key) => page.keyboard.press(key);
  const type = (text) => page.keyboard.type(text);
  /** What has the focus: its words, and whether one can see that it has. */
  const here = () => page.evaluate(() => {
    const node = document.activeElement;
    const shown = [node, node.closest("label"), node.closest("tr")].filter(Boolean).some((part) => {
      const style = getComputedStyle(part);
      return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
    });
    const label = node.labels?.[0]?.innerText ?? "";
    return { text: (node.getAttribute("aria-label") || label || node.innerText || "").trim(), id: node.id, shown, body: node === document.body };
  });
  /** By Tab to what has these words. */
  const to = async (words) => {
    for (let steps = 0; steps < 90; steps += 1) {
      await press("Tab");
      const focus = await here();
      if (focus.body) continue;
      assert.ok(focus.shown, `the focus is not seen on ${JSON.stringify(focus)}`);
      if (words.test(focus.text)) return;
    }
    assert.fail(`Tab does not lead to ${words} at ${page.url()}`);
  };

  await page.goto(site.origin);
  await press("Tab");
  assert.match((await here()).text, /Skip to content/);
  await press("Enter");
  await to(/^New endpoint$/);
  await press("Enter");
  await page.waitForURL(/\/new$/);
  await to(/^Name$/);
  await type("keys");
  await to(/^None of the events$/);
  await press("Enter");
  await to(/^Sent$/);
  await press("Space");
  await to(/^Endpoint URL$/);
  await type(server.url("/keys"));
  await to(/^Encoded credentials$/);
  await press("ArrowRight");
  await to(/^User name$/);
  await type("keys");
  await to(/^Password$/);
  await type("wrong");
  server.of("/keys").basic = "keys:right";
  await to(/^Test Event$/);
  await press("Enter");
  await until("it says 401", async () => /refused the user name or password/.test(await page.locator("#test-result").innerText()));
  assert.match(await page.locator("#said").innerText(), /Not OK/, "what a test came to is said to those who do not see it");
  await page.keyboard.down("Shift");
  for (let steps = 0; (await here()).id !== "password"; steps += 1) {
    assert.ok(steps < 30, "Shift and Tab lead back to the password");
    await press("Tab");
  }
  await page.keyboard.up("Shift");
  await press("Control+A");
  await type("right");
  await to(/^Save and Activate$/);
  await press("Enter");
  await page.waitForURL(/endpoints\/keys\?done=active/);

  const before = server.of("/keys").requests.length;
  await site.post([{ event: "sent", product: "crm", data: { message_id: "wamid.keys", status: "sent" } }]);
  await until("it arrives", () => server.of("/keys").requests.length > before);
  await to(/^Deliveries/);
  await press("Enter");
  await page.waitForURL(/deliveries/);
  await press("/");
  await type("wamid.keys");
  await press("Enter");
  await page.waitForURL(/message_id=wamid\.keys/);
  await until("the row is there", async () => { await page.reload(); return /200 in/.test(await page.locator("main").innerText()); });
  await press("j");
  assert.match((await here()).text, /^keys$/);
  await to(/^Open dlv_/);
  await press("Enter");
  await page.locator(".attempt").first().waitFor();

  // Dead letters: chosen, replayed, and the rest deleted.
  server.of("/keys").status = 410;
  await site.post([{ event: "sent", product: "crm", data: { message_id: "wamid.keys-2", status: "sent" } }]);
  await until("it is dead", async () => (await site.status("keys")).dead === 1);
  server.of("/keys").status = 200;
  await page.goto(`${site.origin}/endpoints/keys`);
  await to(/^Resume now$/);
  await press("Enter");
  await page.waitForURL(/done=resumed/);
  await page.goto(`${site.origin}/dead-letters?endpoint=keys`);
  await to(/^Select dlv_/);
  await press("Space");
  await page.keyboard.down("Shift");
  for (let steps = 0; (await here()).text !== "Replay selected"; steps += 1) {
    assert.ok(steps < 30, "Shift and Tab lead back to Replay selected");
    await press("Tab");
  }
  await page.keyboard.up("Shift");
  await press("Enter");
  await page.waitForURL(/done=queued/);
  await until("it is replayed", async () => (await site.status("keys")).dead === 0);
  await page.keyboard.press("?");
  await page.locator("#keys[open]").waitFor();
  await press("Escape");
  await page.locator("#keys[open]").waitFor({ state: "detached" }).catch(() => {});
  assert.equal(await page.locator("#keys[open]").count(), 0);
  site.remove("keys.toml");
}
