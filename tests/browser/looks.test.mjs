// What people see: pictures in light and dark, narrow and wide, rules of accessibility,
// and how soon it is there.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { asks, browser, connect, elementPage, newContext, packaged, picture, product, someone, stage } from "./stage.mjs";

let chromium;
before(async () => (chromium = await browser()));
after(() => chromium.close());

const SIZES = { wide: { width: 1100, height: 800 }, narrow: { width: 340, height: 700 } };

async function open(t, consumer, attributes = "", { scheme = "light", size = "wide", prepare, script = "" } = {}) {
  const server = await product(elementPage(attributes, { before: asks(consumer) + script }));
  // The rules are put into the page from outside, past its policy.
  const context = await newContext(chromium, { colorScheme: scheme, viewport: SIZES[size], bypassCSP: true, reducedMotion: "reduce" });
  t.after(async () => {
    await context.close();
    server.close();
  });
  const page = await context.newPage();
  await prepare?.(context);
  await page.goto(server.url);
  return page;
}

// No rule is broken seriously.
async function accessible(page, what) {
  await page.evaluate(packaged("axe-core/axe.min.js"));
  const { violations, passes } = await page.evaluate(() => window.axe.run({ resultTypes: ["violations", "passes"] }));
  assert.ok(passes.length > 5, "the rules were looked at");
  const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  const shown = serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html}\n${failureSummary}`).join("\n")}`);
  assert.deepEqual(shown, [], what);
}

const LONG = "Worldwide Real-Estate-Customer-Relationship-Management-and-Transaction-Coordination-Platform for Teams";

// Two hundred apps, some with names that are hard to fit.
function many(context) {
  return context.route("**/api/connectors", async (route) => {
    const response = await route.fetch();
    const connectors = await response.json();
    const like = connectors["follow-up-boss"];
    for (let n = Object.keys(connectors).length; n < 200; n += 1) {
      const name = n === 7 ? LONG : n === 8 ? "دليل العملاء <b>CRM</b>" : n === 9 ? "x".repeat(300) : `Application ${n}`;
      connectors[`app-${n}`] = { ...like, name };
    }
    await route.fulfill({ response, json: connectors });
  });
}

for (const scheme of ["light", "dark"]) {
  for (const size of ["wide", "narrow"]) {
    const options = { scheme, size };
    const name = (what) => `${what}-${scheme}-${size}`;

    test(`${scheme}, ${size}: the list, the form, accounts and what is wrong`, async (t) => {
      const consumer = someone();
      await connect(consumer);
      let page = await open(t, consumer, "", options);
      await page.getByRole("button", { name: /Follow Up Boss/ }).waitFor();
      await page.waitForLoadState("networkidle");
      await accessible(page, "the list");
      await picture(page, name("list"));

      await page.getByRole("button", { name: /HubSpot/ }).click();
      await page.getByRole("button", { name: "Connect", exact: true }).click();
      await page.getByText("Access token is required.").waitFor();
      await accessible(page, "the form");
      await picture(page, name("form"));

      await page.getByRole("button", { name: "Back" }).click();
      await page.getByRole("button", { name: /Marked/ }).click();
      await page.getByRole("combobox").waitFor();
      await accessible(page, "a form of every kind of input");
      await picture(page, name("inputs"));

      await page.getByRole("button", { name: "Back" }).click();
      await page.getByRole("button", { name: /Follow Up Boss/ }).click();
      await picture(page, name("accounts"));
      await page.getByRole("button", { name: /^Delete/ }).click();
      await accessible(page, "the question");
      await picture(page, name("question"));
      await page.getByRole("button", { name: "Cancel" }).click();
      await page.getByRole("button", { name: "Connect another account" }).click();
      await page.getByLabel("API key", { exact: true }).and(page.locator("input[type=password]")).fill("fka_wrong");
      await page.keyboard.press("Enter");
      await page.getByRole("alert").filter({ visible: true }).waitFor();
      await accessible(page, "an account and a wrong key");
      await picture(page, name("wrong-key"));

      page = await open(t, someone(), "", { ...options, prepare: many });
      await page.getByText("Application 150").waitFor();
      await accessible(page, "many apps");
      await picture(page, name("many"));
      await page.getByRole("searchbox").fill("application 15");
      assert.equal(await page.locator("rollout-link li:visible").count(), 11);
      await page.getByRole("status").filter({ hasText: "11 found" }).waitFor({ state: "attached" });
      const wider = await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
      assert.ok(!wider, "nothing sticks out");
    });
  }
}

test("right to left", async (t) => {
  const consumer = someone();
  await connect(consumer);
  const page = await open(t, consumer, 'dir="rtl"', { prepare: many });
  await page.getByText("Application 150").waitFor();
  await page.getByRole("searchbox").fill("CRM");
  await picture(page, "rtl-list");
  await page.getByRole("searchbox").fill("");
  await page.getByRole("button", { name: /Follow Up Boss/ }).click();
  await page.getByRole("button", { name: "Connect another account" }).click();
  await accessible(page, "right to left");
  await picture(page, "rtl-account");
  const [back, heading] = await Promise.all(
    [page.getByRole("button", { name: "Back" }), page.getByRole("heading", { name: "Follow Up Boss" })].map((one) => one.boundingBox()),
  );
  assert.ok(back.x > heading.x, "the way back is at the right");
});

test("a page's colours and texts", async (t) => {
  const style = "rollout-link { --rollout-accent: #7a1f6b; --rollout-on-accent: #fff; --rollout-radius: 2px; --rollout-font: 1.1rem/1.4 Georgia, serif; } rollout-link::part(heading) { text-transform: uppercase; }";
  const server = await product(elementPage('apps="hubspot" theme="dark" plan="api-key"', { before: asks(someone()), style }));
  const context = await newContext(chromium, { viewport: SIZES.narrow });
  t.after(async () => {
    await context.close();
    server.close();
  });
  const page = await context.newPage();
  await page.goto(server.url);
  const button = page.getByRole("button", { name: "Connect", exact: true });
  await button.waitFor();
  assert.equal(await button.evaluate((node) => getComputedStyle(node).backgroundColor), "rgb(122, 31, 107)");
  const heading = page.getByRole("heading", { name: "Connect HubSpot" });
  assert.equal(await heading.evaluate((node) => getComputedStyle(node).textTransform), "uppercase");
  await picture(page, "themed");
});

test("the page to try it on", async (t) => {
  const context = await newContext(chromium, { viewport: SIZES.wide, colorScheme: "dark" });
  t.after(() => context.close());
  const page = await context.newPage();
  const wrong = [];
  page.on("console", (message) => message.type() === "error" && wrong.push(message.text()));
  page.on("pageerror", (error) => wrong.push(String(error)));
  await page.goto(`${stage.host}/link/demo?consumer=${someone()}`);
  await page.getByRole("button", { name: /Follow Up Boss/ }).click();
  await page.getByRole("textbox", { name: "API key" }).or(page.locator("rollout-link input[type=password]")).first().fill(stage.apiKey);
  await page.keyboard.press("Enter");
  await page.getByText(/^credential-added/).waitFor();
  await picture(page, "demo");
  assert.deepEqual(wrong, []);
});

test("the first list is there soon after the script", async (t) => {
  const took = [];
  for (let round = 0; round < 9; round += 1) {
    const consumer = someone();
    const page = await open(t, consumer);
    await page.getByRole("button", { name: /Follow Up Boss/ }).waitFor();
    took.push(await page.evaluate(() => performance.getEntriesByName("rollout-link", "measure")[0].duration));
  }
  took.sort((a, b) => a - b);
  t.diagnostic(`from the script to the list, in ms: ${took.map((ms) => ms.toFixed(0)).join(" ")}`);
  // Token and preflights included. What it takes when the machine is not at something else.
  assert.ok(took[0] <= 100, `${took}`);
});
