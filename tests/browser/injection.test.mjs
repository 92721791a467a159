// A connector whose every text is markup that would do harm: none of it is run or asked
// for, in the element and in the published client.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { asks, browser, bundle, credentials, elementPage, newContext, product, someone, stage } from "./stage.mjs";

let chromium;
before(async () => (chromium = await browser()));
after(() => chromium.close());

// A page, and what would show that something was run.
async function open(t, pages, query = "") {
  const server = await product(pages);
  const context = await newContext(chromium);
  const page = await context.newPage();
  t.after(async () => {
    await context.close();
    server.close();
  });
  const harm = [];
  context.on("request", (request) => {
    if (request.url().includes("evil.example")) harm.push(request.url());
  });
  page.on("dialog", (dialog) => harm.push(dialog.message()));
  page.on("pageerror", (error) => harm.push(String(error)));
  context.on("page", (other) => harm.push(`a window: ${other.url()}`));
  await page.goto(`${server.url}/${query}`);
  const unharmed = async () => {
    assert.deepEqual(harm, []);
    assert.equal(await page.evaluate(() => window.hurt), undefined);
    assert.deepEqual(await page.evaluate(() => window.violations), []);
  };
  return { page, unharmed };
}

const KEY = "conformance-marked-up";

test("the element shows it as text", async (t) => {
  const consumer = someone();
  const { page, unharmed } = await open(t, elementPage("", { before: asks(consumer) }));
  const link = page.locator("rollout-link");
  const item = page.getByRole("button", { name: /^Marked <b>up<\/b>/ });
  await item.waitFor();
  await unharmed();
  await item.click();
  await page.getByRole("textbox", { name: /^Account/ }).fill("refused");
  const help = link.locator("[part~=help]").first();
  // What helps is kept.
  assert.equal(await help.locator("b").textContent(), "account");
  assert.equal(await help.locator("a[href]").count(), 1);
  assert.equal(await help.locator("a[href]").getAttribute("rel"), "noopener noreferrer");
  assert.equal(await link.locator("script, svg, iframe, [onerror], [onload], [onclick], [onfocus]").count(), 0);
  await page.getByRole("combobox", { name: "Region" }).selectOption("us");
  await page.getByRole("button", { name: "Connect", exact: true }).click();
  await page.getByRole("alert").filter({ hasText: "says no" }).waitFor();
  await unharmed();
  await page.getByRole("textbox", { name: /^Account/ }).fill("one");
  await page.getByRole("button", { name: "Connect", exact: true }).click();
  await page.getByText("one <script>window.hurt=11</script>").first().waitFor();
  await page.getByRole("button", { name: /^Delete one/ }).click();
  await page.getByRole("button", { name: "Delete", exact: true }).click();
  await page.getByRole("status").filter({ hasText: "is deleted" }).waitFor({ state: "attached" });
  assert.deepEqual(await credentials(consumer), []);
  await unharmed();
});

test("the element trusts no host either", async (t) => {
  const consumer = someone();
  const evil = '<img src="https://evil.example/1" onerror="window.hurt=1"><script>window.hurt=1</script><a href="javascript:window.hurt=1">x</a>';
  const { page, unharmed } = await open(t, elementPage(`apps="${KEY}"`, { before: asks(consumer) }));
  await page.context().route("**/api/connectors", async (route) => {
    const response = await route.fetch();
    const connectors = await response.json();
    for (const input of connectors[KEY].authByPlan.fields.userInputsSchema) input.infoHTML = evil;
    await route.fulfill({ response, json: connectors });
  });
  await page.context().route("**/api/credentials", async (route) => {
    if (route.request().method() !== "POST") return route.continue();
    const json = { action: "OTP_REQUEST", titleHTML: evil, messageHTML: `<b>Sent</b> ${evil}`, otpChallengeId: "../../x?y" };
    await route.fulfill({ json, headers: { "access-control-allow-origin": "*" } });
  });
  await page.reload();
  await page.getByRole("textbox", { name: /^Account/ }).fill("one");
  await page.getByRole("combobox", { name: "Region" }).selectOption("us");
  await page.getByRole("button", { name: "Connect", exact: true }).click();
  await page.getByRole("textbox", { name: "Code" }).waitFor();
  assert.equal(await page.locator("rollout-link [part=code-message] b").textContent(), "Sent");
  assert.equal(await page.locator("rollout-link").locator("script, img:not([part]), a[href]").count(), 0);
  await unharmed();
});

for (const version of ["0.14", "0.5"]) {
  test(`the published client ${version} is given nothing that harms`, async (t) => {
    const consumer = someone();
    const { page, unharmed } = await open(t, await bundle(`published-${version}.jsx`), `?consumer=${consumer}`);
    await page.locator(".universal-ConnectorListItem-root", { hasText: "Marked" }).click();
    await page.locator("code", { hasText: "Settings" }).waitFor();
    await unharmed();
  });
}

test("a picture that is opened by itself does nothing", async (t) => {
  const context = await newContext(chromium);
  t.after(() => context.close());
  const page = await context.newPage();
  // Who is asked for something answers, unless the policy has it never asked.
  const asked = [];
  context.on("requestfinished", (request) => asked.push(request.url()));
  await context.route("https://evil.example/**", (route) => route.fulfill({ body: "harm" }));
  const icon = `${stage.host}/api/connectors/${KEY}/icon`;
  await page.goto(icon, { waitUntil: "networkidle" });
  assert.notEqual(await page.title(), "hurt");
  assert.deepEqual(asked.filter((url) => !url.startsWith(stage.host)), []);
});
