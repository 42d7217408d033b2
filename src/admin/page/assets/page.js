// The page works without this. It adds: live numbers, local times, All and None, keys, and Test Event without a new page.
"use strict";
(() => {
  const $ = (what, where = document) => where.querySelector(what);
  const $$ = (what, where = document) => [...where.querySelectorAll(what)];
  const said = $("#said");
  const say = (text) => { if (said) said.textContent = text; };

  // Times in the reader's own zone; the exact one stays in the title.
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  const day = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "2-digit", day: "2-digit" });
  const localize = (root) => {
    const today = day.format(new Date());
    for (const time of $$("time[datetime]", root)) {
      const when = new Date(time.dateTime);
      if (Number.isNaN(when.getTime())) continue;
      const text = day.format(when) === today ? clock.format(when) : `${day.format(when)} ${clock.format(when)}`;
      if (time.textContent !== text) time.textContent = text;
    }
  };

  // All | None, for the groups that have them.
  const groups = (root) => {
    for (const button of $$("button[data-pick]", root)) {
      button.hidden = false;
      button.addEventListener("click", () => {
        const boxes = $$("input[type=checkbox]", button.closest("fieldset"));
        for (const box of boxes) box.checked = button.dataset.pick === "all";
        boxes[0]?.dispatchEvent(new Event("change", { bubbles: true }));
        say(button.dataset.pick === "all" ? "All selected" : "None selected");
      });
    }
  };

  // One check box for all rows.
  const everyRow = (root) => {
    const all = $("input[data-all]", root);
    if (!all) return;
    all.closest("label").hidden = false;
    all.addEventListener("change", () => { for (const box of $$("input[name=id]")) box.checked = all.checked; });
  };

  // How many events of the last day the choice would have matched, counted again with every change.
  const matches = () => {
    const shown = $("#matches");
    if (!shown) return;
    const kinds = shown.dataset.seen.split(";").filter(Boolean).map((kind) => kind.split(" "));
    const chosen = (name) => new Set($$(`#${name} input:checked`).map((box) => box.value));
    const count = () => {
      const events = chosen("events"), products = chosen("products");
      const sum = kinds.reduce((all, [event, product, n]) => all + (events.has(event) && products.has(product) ? Number(n) : 0), 0);
      shown.textContent = sum.toLocaleString("en");
    };
    for (const name of ["events", "products"]) document.getElementById(name).addEventListener("change", count);
    count();
  };

  // Fields that only count for one choice: the credentials' two ways.
  const ways = (root) => {
    const radios = $$("input[name=auth]", root);
    const show = () => {
      for (const part of $$("[data-auth]", root)) {
        part.hidden = !radios.some((radio) => radio.checked && radio.value === part.dataset.auth);
        // What is not seen is not sent.
        for (const field of $$("input", part)) field.disabled = part.hidden;
      }
    };
    for (const radio of radios) radio.addEventListener("change", show);
    if (radios.length) show();
  };

  const copies = (root) => {
    for (const button of $$("button[data-copy]", root)) {
      button.hidden = false;
      button.addEventListener("click", async () => {
        const text = $(button.dataset.copy).textContent;
        try { await navigator.clipboard.writeText(text); say("Copied"); button.textContent = "Copied"; }
        catch { getSelection().selectAllChildren($(button.dataset.copy)); say("Selected. Copy it with your keys"); }
      });
    }
  };

  const prepare = (root) => { localize(root); groups(root); everyRow(root); ways(root); copies(root); };

  // Parts marked data-live are fetched again now and then and replaced where they changed, unless somebody is in them.
  const away = $("#away");
  let last = new Date();
  const busy = (part) => part.contains(document.activeElement) && document.activeElement !== part
    || $$("input[name=id]:checked", part).length > 0
    || !getSelection().isCollapsed && part.contains(getSelection().anchorNode);
  // What is in the way of the whole page stands in one place, and is said once.
  const alarm = (why, words, way) => {
    if (!away.hidden && away.dataset.why === why) return;
    away.dataset.why = why;
    away.replaceChildren(words, way);
    away.hidden = false;
  };
  const unreachable = () => {
    const again = document.createElement("button");
    again.textContent = "Try again";
    again.addEventListener("click", refresh);
    alarm("unreachable", `Cannot reach Postrider. Last data from ${clock.format(last)}. `, again);
  };
  // A session ends with the daemon. Who has none is led to the sign-in page by a screen, and refused by a form.
  const isSignedOut = (answer) => answer.type === "opaqueredirect" || answer.status === 401;
  const signedOut = () => {
    const way = document.createElement("a");
    way.href = `/login?next=${encodeURIComponent(location.pathname + location.search)}`;
    way.textContent = "Sign in again";
    alarm("signed out", "You are signed out. ", way);
  };
  const refresh = async () => {
    const live = $$("[data-live]");
    if (!live.length || document.hidden) return;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" }, redirect: "manual", signal: AbortSignal.timeout(8000) });
      if (isSignedOut(answer)) { signedOut(); return; }
      // The answer to a form has no address of its own to look at again.
      if (!answer.ok && answer.status < 500) return;
      if (!answer.ok) throw new Error(String(answer.status));
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of live) {
        const fresh = part.id && next.getElementById(part.id);
        if (!fresh || busy(part)) continue;
        localize(fresh);
        if (fresh.innerHTML === part.innerHTML) continue;
        const adopted = document.importNode(fresh, true);
        part.replaceWith(adopted);
        everyRow(adopted);
        copies(adopted);
        const word = adopted.dataset.say;
        if (word && word !== part.dataset.say) say(word);
      }
      last = new Date();
      away.hidden = true;
    } catch { unreachable(); }
  };
  const pace = () => ($("#follow")?.checked ? 1500 : 6000);
  let next = 0;
  const later = () => { clearTimeout(next); next = setTimeout(tick, pace()); };
  const tick = async () => { await refresh(); later(); };
  later();

  // Follow is part of the address, like every other filter.
  $("#follow")?.addEventListener("change", (event) => {
    const address = new URL(location.href);
    if (event.target.checked) address.searchParams.set("follow", "on"); else address.searchParams.delete("follow");
    history.replaceState(null, "", address);
    say(event.target.checked ? "Following: new deliveries appear at the top" : "Not following");
    if (event.target.checked) tick(); else later();
  });

  // Test Event keeps what was typed, passwords too: the answer's result is put in place.
  const tested = (next) => {
    for (const id of ["test-result", "summary"]) {
      const fresh = next.getElementById(id);
      const here = document.getElementById(id);
      if (!here) continue;
      const adopted = fresh ? document.importNode(fresh, true) : Object.assign(document.createElement("div"), { id });
      here.replaceWith(adopted);
      prepare(adopted);
    }
    const result = $("#test-result [data-verdict]") || $("#summary > *");
    say($("#test-result [data-verdict]")?.textContent || "");
    result?.scrollIntoView({ block: "nearest" });
  };
  const notTested = (status) => {
    const note = Object.assign(document.createElement("div"), { className: "note bad" });
    note.append(Object.assign(document.createElement("p"), { className: "grow", textContent: `Not sent. Postrider answered ${status}.` }));
    $("#test-result").replaceChildren(note);
    say(note.textContent);
    note.scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("submit", async (event) => {
    const { target: form, submitter } = event;
    if (!submitter?.matches("[data-test]") || submitter.disabled) return;
    event.preventDefault();
    const body = new URLSearchParams(new FormData(form, submitter));
    submitter.setAttribute("aria-busy", "true");
    say("Sending the test event");
    try {
      const answer = await fetch(submitter.formAction || form.action, { method: "POST", headers: { accept: "text/html" }, redirect: "manual", body });
      const isPage = answer.headers.get("content-type")?.startsWith("text/html");
      if (isSignedOut(answer)) { say(""); signedOut(); away.scrollIntoView({ block: "nearest" }); }
      else if (isPage) tested(new DOMParser().parseFromString(await answer.text(), "text/html"));
      else notTested(answer.status);
    } catch { say(""); unreachable(); away.scrollIntoView({ block: "nearest" }); }
    submitter.removeAttribute("aria-busy");
  });

  // A second press while the first is under way does nothing.
  document.addEventListener("submit", (event) => {
    if (event.defaultPrevented || event.target.method !== "post") return;
    if (event.target.dataset.sent) { event.preventDefault(); return; }
    event.target.dataset.sent = "yes";
  });
  addEventListener("pageshow", () => { for (const form of $$("form[data-sent]")) delete form.dataset.sent; });

  // What was changed and not saved is asked about before it is left.
  const edit = $("form[data-guard]");
  if (edit) {
    let changed = false, sent = false;
    edit.addEventListener("input", () => { changed = true; });
    edit.addEventListener("change", () => { changed = true; });
    edit.addEventListener("submit", (event) => { if (!event.submitter?.matches("[data-test]")) sent = true; });
    $("[data-discard]")?.addEventListener("click", () => { sent = true; });
    addEventListener("beforeunload", (event) => { if (changed && !sent) event.preventDefault(); });
  }

  // Keys, off while typing, and off for good where somebody says so.
  const keys = $("#keys");
  const on = $("#keys-on");
  const open = $("#keys-open");
  let use = localStorage.getItem("keys") !== "off";
  if (on) {
    on.checked = use;
    on.addEventListener("change", () => { use = on.checked; localStorage.setItem("keys", use ? "on" : "off"); });
    open.hidden = false;
    open.addEventListener("click", () => keys.showModal());
  }
  let at = -1;
  const move = (by) => {
    const rows = $$("tr.item");
    if (!rows.length) return;
    at = Math.max(0, Math.min(rows.length - 1, at + by));
    $("tr.at")?.classList.remove("at");
    rows[at].classList.add("at");
    $("a", rows[at])?.focus();
  };
  document.addEventListener("keydown", (event) => {
    if (!use || event.ctrlKey || event.metaKey || event.altKey || keys?.open) return;
    if (event.target.matches("input, select, textarea, [contenteditable]")) return;
    const press = (what) => { const found = $(what); if (found) { event.preventDefault(); found.click(); } };
    if (event.key === "/") { const search = $("input[type=search]"); if (search) { event.preventDefault(); search.focus(); } }
    else if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
    else if (event.key === "t") press("[data-test]");
    else if (event.key === "r") press("[data-again]");
    else if (event.key === "?") { event.preventDefault(); keys?.showModal(); }
  });

  // A summary of problems takes the focus, so that it is read first.
  $("#summary > [tabindex]")?.focus();
  prepare(document);
  matches();
})();
