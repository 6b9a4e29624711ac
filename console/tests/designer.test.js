// The designer in a real browser: what is typed is checked and completed, forms edit the text, and the file is written
// only after what it changes was shown.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { parse } from "yaml";
import { BINARY, TOKEN, start } from "./gateway.js";

const PICTURES = process.env.PICTURES;
const PATIENCE_MS = 20_000;
const BUS = join(dirname(fileURLToPath(import.meta.url)), "../../examples/bus");

let gateway, browser;

before(async () => {
  gateway = await start();
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
  if (PICTURES) mkdirSync(PICTURES, { recursive: true });
});

after(async () => {
  await browser?.close();
  await gateway?.stop();
});

async function design(act, at = gateway) {
  const context = await browser.newContext({ viewport: { width: 1360, height: 860 } });
  context.setDefaultTimeout(PATIENCE_MS);
  await context.addInitScript((given) => sessionStorage.setItem("tollgate-token", given), TOKEN);
  const page = await context.newPage();
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(error.stack));
  page.on("console", (message) => message.type() === "error" && !message.text().startsWith("Failed to load") && complaints.push(message.text()));
  try {
    await page.goto(`${at.admin}/#/designer`);
    await verdict(page, /^Valid/);
    await act(page, page.getByRole("textbox", { name: "Configuration, as YAML" }));
    assert.deepEqual(complaints, []);
  } finally {
    await context.close();
  }
}

/** Waits until the gateway has said this of the text. */
const verdict = (page, words) => page.locator(".verdict").filter({ hasText: words }).waitFor();

async function picture(page, name) {
  if (!PICTURES) return;
  // Away from what it would light up.
  await page.mouse.move(0, 0);
  await page.screenshot({ path: join(PICTURES, `${name}.png`), animations: "disabled" });
}

test("faults are told in their lines as one types, and nothing that is typed becomes markup", async () => {
  await design(async (page, field) => {
    await field.press("Control+End");
    await field.pressSequentially("  - name: <img src=x onerror=alert(1)>\npth: /x\n");
    await verdict(page, /errors?\./);
    await page.locator(".line-of.error").first().waitFor();
    await page.locator(".findings").getByText("pth").first().waitFor();
    assert.equal(await page.locator("#app img").count(), 0);
    await page.locator(".findings button").first().click();
    assert.equal(await page.evaluate(() => document.activeElement.tagName), "TEXTAREA");
    await picture(page, "designer-faults");
  });
});

test("keys and values are completed from the schema and from the text", async () => {
  await design(async (page, field) => {
    await field.press("Control+End");
    await field.pressSequentially("  - name: fresh\npat");
    await page.getByRole("option", { name: "path" }).waitFor();
    await picture(page, "designer-completion");
    await field.press("Enter");
    await field.pressSequentially("/fresh\nto: tel");
    await page.getByRole("option", { name: "telemetry" }).waitFor();
    await field.press("Tab");
    const text = await field.inputValue();
    assert.ok(text.endsWith("  - name: fresh\n    path: /fresh\n    to: telemetry"), text.slice(-120));
    await verdict(page, /^Valid/);
    await page.getByRole("tab", { name: "Changes (1)" }).waitFor();
    await field.press("Enter");
    await field.pressSequentially("auth: { j");
    await page.getByRole("option", { name: "jwt" }).waitFor();
    await field.press("Escape");
    await page.locator(".offer").waitFor({ state: "detached" });
  });
});

test("forms edit the text and leave the rest of it", async () => {
  await design(async (page, field) => {
    const before = await field.inputValue();
    await page.getByLabel("Timeout").fill("3s");
    await page.keyboard.press("Enter");
    await page.waitForFunction((old) => document.querySelector(".editor textarea").value !== old, before);
    await verdict(page, /^Valid/);
    const after = await field.inputValue();
    assert.ok(after.includes("timeout: 3s") && after.includes("# Public, and read often."), after);
    await page.getByLabel("Path", { exact: true }).fill("/orders/{number}");
    await page.getByLabel("Path sent").fill("/v3/orders/{number}");
    await page.keyboard.press("Enter");
    await verdict(page, /^Valid/);
    assert.ok((await field.inputValue()).includes("rewrite: \"/v3/orders/{number}\""), await field.inputValue());

    await page.getByRole("tab", { name: "Upstreams" }).click();
    await page.getByRole("combobox", { name: "Upstream", exact: true }).selectOption("telemetry");
    await page.getByRole("combobox", { name: "Balance" }).selectOption("round_robin");
    await verdict(page, /^Valid/);
    assert.ok((await field.inputValue()).includes("balance: round_robin"));
    await page.getByRole("tab", { name: "Posture" }).click();
    await page.getByRole("region", { name: "Who may reach what" }).getByText("jwt main").waitFor();
  });
});

test("parts of an aggregate are chosen in the graph and edited", async () => {
  await design(async (page, field) => {
    await page.getByRole("combobox", { name: "Route", exact: true }).selectOption({ label: "dashboard" });
    await page.locator(".parts").getByRole("button", { name: "Part driver" }).press("Enter");
    await page.locator(".parts").getByLabel("Under the name").fill("chauffeur");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => document.querySelector(".editor textarea").value.includes("wrap: chauffeur"));
    await verdict(page, /^Valid/);
    await page.locator(".parts").getByRole("button", { name: "New part" }).click();
    await page.locator(".parts").getByRole("button", { name: "Part part5" }).waitFor();
    await verdict(page, /^Valid/);
    assert.ok((await field.inputValue()).includes("part5"));
    await page.locator(".parts").scrollIntoViewIfNeeded();
    await picture(page, "designer-parts");
  });
});

test("what would protect less is shown and confirmed before it is written, and then it serves", async () => {
  await design(async (page, field) => {
    const text = await field.inputValue();
    await field.fill(text.replace('hello: "{name}"', 'hi: "{name}"').replace("    auth: { jwt: main, require: { scopes: [\"account:read\"] } }\n", "").replace("rate_limit: { rate: 20/s, per: consumer }", "rate_limit: { rate: 20/s, per: ip }"));
    await page.getByRole("tab", { name: /weaker/ }).click();
    await page.getByRole("tabpanel").getByText("Less protected than now:").waitFor();
    await picture(page, "designer-changes");
    await page.getByRole("button", { name: "Write and reload …" }).click();
    const dialog = page.getByRole("dialog");
    const write = dialog.getByRole("button", { name: "Write and reload" });
    assert.equal(await write.isDisabled(), true);
    await dialog.getByRole("checkbox").check();
    await picture(page, "designer-apply");
    await write.click();
    await dialog.getByText("Configuration 2 serves.").waitFor();
    await dialog.getByRole("button", { name: "Close" }).click();
    assert.ok(readFileSync(gateway.file, "utf8").includes('hi: "{name}"'));
    const answer = await fetch(`${gateway.public}/hello/you`);
    assert.deepEqual(await answer.json(), { hi: "you" });
    await page.getByText("as it is.").waitFor();
  });
});

test("where the file may not be written the designer works on a text of one's own", async () => {
  const closed = await start({ change: (text) => text.replace("  allow_write: true\n", "") });
  try {
    await design(async (page, field) => {
      await page.getByText("is written nowhere").waitFor();
      assert.equal(await page.getByRole("button", { name: /Write and reload/ }).count(), 0);
      await page.getByRole("button", { name: "Begin with what runs" }).click();
      await page.waitForFunction(() => document.querySelector(".editor textarea").value.includes("telemetry"));
      assert.ok(!(await field.inputValue()).includes("a-secret-of-the-test"));
      const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download" }).click()]);
      assert.equal(download.suggestedFilename(), "tollgate.yaml");
      await picture(page, "designer");
    }, closed);
  } finally {
    await closed.stop();
  }
});

test("the aggregate of examples/bus is built in the steps that its page tells", async () => {
  const guide = readFileSync(join(BUS, "designer.md"), "utf8");
  const [first, dropped, whole] = [...guide.matchAll(/^ {3}```yaml\n(.*?)^ {3}```$/gms)].map(([, text]) => text.replace(/^ {3}/gm, ""));
  const rows = guide.match(/^ *\|.*\|$/gm).map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
  const [labels, , ...parts] = rows;
  assert.deepEqual([parts.length, labels.length], [3, 5]);
  const bus = await start({ change: onBoard });
  try {
    await design(async (page, field) => {
      const form = page.locator("#tab-body");
      /** Waits until an act has changed the text. */
      const changed = async (act) => {
        const before = await field.inputValue();
        await act();
        await page.waitForFunction((old) => document.querySelector(".editor textarea").value !== old, before);
      };
      const fill = (input, value) => changed(() => input.fill(value).then(() => input.press("Enter")));
      await changed(() => page.getByLabel("Open a file").setInputFiles(join(BUS, "bus.yaml")));
      await form.getByRole("combobox", { name: "Route", exact: true }).selectOption({ label: "bus" });
      await changed(() => form.getByRole("button", { name: "Remove this route" }).click());
      assert.ok(!(await field.inputValue()).includes("aggregate:"));

      await changed(() => form.getByRole("button", { name: "New route" }).click());
      await fill(form.getByLabel("Name", { exact: true }), "bus");
      await fill(form.getByLabel("Path", { exact: true }), "/bus");
      await form.getByRole("button", { name: "Show in the text" }).click();
      await select(field, "    respond:\n      body: hello\n");
      await changed(() => page.keyboard.insertText(first));

      const inside = form.locator(".parts");
      for (const [at, cells] of parts.entries()) {
        await changed(() => inside.getByRole("button", { name: "New part" }).click());
        await inside.getByRole("button", { name: `Part part${at + 2}` }).press("Enter");
        for (const [column, cell] of cells.entries()) if (cell) await fill(inside.getByLabel(labels[column], { exact: true }), cell);
        await inside.getByRole("button", { name: "Show in the text" }).click();
        await select(field, "          json:\n            hello: world\n");
        await changed(() => page.keyboard.press("Delete"));
      }
      await select(field, "path: /vehicle\n");
      await page.keyboard.press("ArrowRight");
      await page.keyboard.press("ArrowLeft");
      await changed(() => page.keyboard.press("Enter"));
      await changed(() => page.keyboard.type(dropped.trim()));
      await page.keyboard.press("Escape");
      await verdict(page, /^Valid/);

      const text = await field.inputValue();
      assert.ok(text.includes(whole), text);
      const [built, given] = [parse(text), parse(readFileSync(join(BUS, "bus.yaml"), "utf8"))];
      const byName = ({ routes, ...rest }) => ({ ...rest, routes: Object.fromEntries(routes.map((route) => [route.name, route])) });
      assert.deepEqual(byName(built), byName(given));
      const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download" }).click()]);
      const file = join(dirname(bus.file), "built.yaml");
      await download.saveAs(file);
      for (const command of ["check", "test"]) {
        const { status, stdout, stderr } = spawnSync(BINARY, [command, "-c", file], { encoding: "utf8" });
        assert.equal(status, 0, `${command}: ${stdout}${stderr}`);
      }
    }, bus);
  } finally {
    await bus.stop();
  }
});

/** The gateway of a bus, where the one of the tests would listen. */
function onBoard(text) {
  const [listen, admin] = [...text.matchAll(/address: "([^"]+)"/g)].map(([, address]) => address);
  return readFileSync(join(BUS, "bus.yaml"), "utf8").replace("127.0.0.1:8${BUS:-1}00", listen).replace("127.0.0.1:97${BUS:-1}0", admin);
}

/** Selects in the text what stands there once. */
async function select(field, words) {
  await field.evaluate((area, words) => {
    const from = area.value.indexOf(words);
    if (from < 0 || area.value.includes(words, from + 1)) throw new Error(`not there once: ${words}`);
    area.focus();
    area.setSelectionRange(from, from + words.length);
  }, words);
}
