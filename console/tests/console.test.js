// Every view in a real browser against a running gateway with traffic.
//
// PICTURES=FOLDER keeps a picture of each. Whatever a page complains about on its console (a policy that was broken, an
// exception) fails the test that saw it.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";
import { TOKEN, start, traffic } from "./gateway.js";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PICTURES = process.env.PICTURES;
const WIDE = { width: 1280, height: 800 };
/** A small phone. */
const NARROW = { width: 360, height: 740 };
/** How long anything may take to appear. */
const PATIENCE_MS = 20_000;

let gateway, browser, stopTraffic;

before(async () => {
  gateway = await start();
  stopTraffic = traffic(gateway.public);
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
  if (PICTURES) mkdirSync(PICTURES, { recursive: true });
});

after(async () => {
  stopTraffic?.();
  await browser?.close();
  await gateway?.stop();
});

/** Runs `act` in a page at a view, with the token unless `token` is null. */
async function visit(view, act, { size = WIDE, scheme = "light", token = TOKEN, at = gateway } = {}) {
  const context = await browser.newContext({ viewport: size, colorScheme: scheme });
  context.setDefaultTimeout(PATIENCE_MS);
  if (token) await context.addInitScript((given) => sessionStorage.setItem("tollgate-token", given), token);
  const page = await context.newPage();
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(error.stack));
  page.on("console", (message) => {
    // Answers that are refusals are part of what is tried.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) complaints.push(message.text());
  });
  try {
    await page.goto(`${at.admin}/#/${view}`);
    await act(page);
    assert.deepEqual(complaints, []);
  } finally {
    await context.close();
  }
}

/** No serious fault of accessibility, as far as axe can tell. */
async function accessible(page, where) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  const told = serious.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => `${node.html} ${node.failureSummary}`).join("; ")}`);
  assert.deepEqual(told, [], where);
}

/** Nothing hangs over the edge of the screen. */
async function fits(page, where) {
  const [wide, screen] = await page.evaluate(() => [document.scrollingElement.scrollWidth, innerWidth]);
  assert.ok(wide <= screen, `${where}: ${wide} wide on a screen of ${screen}`);
}

async function picture(page, name) {
  if (!PICTURES) return;
  // Away from what it would light up.
  await page.mouse.move(0, 0);
  await page.screenshot({ path: join(PICTURES, `${name}.png`), animations: "disabled" });
}

/** Of each view: what has to be there, which is more than its frame. */
const VIEWS = {
  overview: async (page) => {
    await page.getByText("Requests per second").waitFor();
    // Plots are drawn after the page around them.
    await page.waitForFunction(() => document.querySelectorAll(".plot canvas").length === 4);
    await page.getByRole("link", { name: "route_not_found" }).waitFor();
    await page.waitForFunction(() => document.querySelectorAll(".legend b")[0].textContent !== "–");
    await page.getByRole("region", { name: "Upstreams and how they are" }).getByText("down").waitFor();
  },
  requests: async (page) => {
    await page.locator("tbody tr").nth(5).waitFor();
  },
  routes: async (page) => {
    const row = page.getByRole("row").filter({ has: page.getByRole("button", { name: "orders", exact: true }) });
    await row.getByText("public").waitFor();
    await page.getByRole("row", { name: /account/ }).getByText("jwt main").waitFor();
  },
  upstreams: async (page) => {
    await page.getByRole("heading", { name: "telemetry" }).waitFor();
    await page.locator(".past rect.was-down").first().waitFor({ state: "attached" });
  },
  limits: async (page) => {
    await page.getByText("10/m per ip").waitFor();
    await page.getByRole("heading", { name: "Memory" }).waitFor();
  },
  issuers: async (page) => {
    await page.getByRole("row", { name: /main/ }).waitFor();
    await page.getByText("token_missing").waitFor();
  },
  try: async (page) => {
    await page.getByRole("button", { name: "Explain" }).waitFor();
  },
  designer: async (page) => {
    await page.getByText("Valid").first().waitFor();
    await page.getByRole("combobox", { name: "Route", exact: true }).waitFor();
  },
};

test("the token is asked for, a wrong one is told, the right one opens", async () => {
  await visit("overview", async (page) => {
    await page.getByLabel("Token").waitFor();
    await accessible(page, "the token form");
    await picture(page, "token");
    await page.getByLabel("Token").fill("wrong");
    await page.getByRole("button", { name: "Open" }).click();
    await page.getByText("This is not the admin token.").waitFor();
    await page.getByLabel("Token").fill(TOKEN);
    await page.keyboard.press("Enter");
    await VIEWS.overview(page);
    assert.equal(await page.evaluate(() => JSON.stringify({ ...localStorage }).length < 40), true, "the token stays in the tab");
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("Token").waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  }, { token: null });
});

test("every view is reached by its link, shows what runs, and is accessible", async () => {
  await visit("designer", async (page) => {
    for (const [id, shown] of Object.entries(VIEWS)) {
      await page.locator(`nav a[href="#/${id}"]`).click();
      await shown(page);
      assert.equal(await page.locator("nav a[aria-current]").getAttribute("href"), `#/${id}`);
      // The view's heading is where one goes on; it gets the focus once the view is painted.
      await page.waitForFunction(() => document.activeElement.tagName === "H1");
      await accessible(page, id);
      await fits(page, id);
    }
    for (const id of ["overview", "upstreams", "limits", "issuers"]) {
      await page.goto(`${gateway.admin}/#/${id}`);
      await VIEWS[id](page);
      await picture(page, id);
    }
  });
});

test("every view fits a phone, in the dark", async () => {
  await visit("overview", async (page) => {
    for (const [id, shown] of Object.entries(VIEWS)) {
      await page.locator(`nav a[href="#/${id}"]`).click();
      await shown(page);
      await fits(page, id);
      await accessible(page, `${id}, narrow and dark`);
      if (["overview", "requests", "routes"].includes(id)) await picture(page, `phone-${id}`);
    }
  }, { size: NARROW, scheme: "dark" });
});

test("the first paint is within a second", async () => {
  await visit("overview", async (page) => {
    await VIEWS.overview(page);
    const painted = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0].startTime);
    console.log(`first contentful paint after ${Math.round(painted)} ms`);
    assert.ok(painted < 1_000, `${painted} ms`);
  });
});

test("the theme that was chosen is kept", async () => {
  await visit("limits", async (page) => {
    await VIEWS.limits(page);
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await ground();
    for (const wanted of ["light", "dark"]) {
      await page.getByRole("button", { name: /^Theme/ }).click();
      assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), wanted);
    }
    const dark = await ground();
    assert.notEqual(dark, light);
    await page.reload();
    await VIEWS.limits(page);
    assert.equal(await ground(), dark);
  });
});

test("requests come as they are made, are filtered, and each is told and explained", async () => {
  await visit("requests", async (page) => {
    await VIEWS.requests(page);
    await fetch(`${gateway.public}/nothing/just-now`);
    await page.getByText("/nothing/just-now").first().waitFor();
    await page.getByLabel("Reason").fill("rate_limited");
    // Rows that come meanwhile take nothing of what is typed.
    await fetch(`${gateway.public}/nothing/while-typing`);
    await page.getByText("/nothing/while-typing").first().waitFor();
    assert.equal(await page.getByLabel("Reason").inputValue(), "rate_limited");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => location.hash.includes("reason=rate_limited"));
    await page.waitForFunction(() => {
      const rows = [...document.querySelectorAll("tbody tr")];
      return rows.length > 0 && rows.every((row) => row.textContent.includes("rate_limited"));
    });
    await page.getByRole("button", { name: "Pause" }).click();
    await page.locator("tbody button.open").first().press("Enter");
    await page.getByRole("heading", { name: "GET /limited" }).waitFor();
    await page.getByRole("heading", { name: "Such a request now" }).waitFor();
    await page.locator(".steps li").nth(3).waitFor();
    await page.locator(".outcome .code").waitFor();
    await accessible(page, "a request");
    await picture(page, "requests");
  });
});

test("a route shows its parts as a graph, and a search finds it", async () => {
  await visit("routes?route=dashboard", async (page) => {
    await page.locator(".graph .node").nth(5).waitFor();
    await page.getByText("without secrets").waitFor();
    await accessible(page, "a route");
    await picture(page, "routes");
    await page.getByLabel("Find").fill("partner");
    await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 1);
  });
});

test("a request is tried without being sent", async () => {
  await visit("try?url=http://localhost/account", async (page) => {
    await page.getByLabel("Headers").fill("no header");
    await page.getByText("is no header").waitFor();
    await page.getByLabel("Headers").fill("Authorization: Bearer it's-no-token");
    await page.getByText(`-H 'Authorization: Bearer it'\\''s-no-token'`).waitFor();
    await page.getByRole("button", { name: "Explain" }).click();
    await page.locator(".outcome").getByText("401").waitFor();
    await page.locator(".outcome").getByText("token_malformed").waitFor();
    await page.locator(".steps li.bad").waitFor();
    await accessible(page, "an explanation");
    await picture(page, "try");
  });
});
