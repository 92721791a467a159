// The element on a product's page, under a strict policy and from another origin.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { api, asks, browser, bundle, connect, credentials, elementPage, newContext, product, signInThere, someone, stage, token } from "./stage.mjs";

let chromium;
before(async () => (chromium = await browser()));
after(() => chromium.close());

// Opens a page with the element for a consumer; closed with the test.
async function open(t, consumer, attributes, { pages = {}, query } = {}) {
  const made = { ...elementPage(attributes, { before: asks(consumer, query) }), ...pages };
  const server = await product(made);
  const context = await newContext(chromium);
  const page = await context.newPage();
  t.after(async () => {
    await context.close();
    server.close();
  });
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(String(error)));
  await page.goto(server.url);
  const settled = async () => {
    assert.deepEqual(wrong, []);
    assert.deepEqual(await page.evaluate(() => window.violations), []);
  };
  const told = () => page.evaluate(() => window.told);
  return { page, context, server, settled, told };
}

const app = (page, name) => page.getByRole("button", { name });

test("an account is connected by a key, listed, kept over a reload, and deleted", async (t) => {
  const consumer = someone();
  const { page, settled, told } = await open(t, consumer, 'plan="api-key" entities-to-sync="notes"');
  await app(page, /Follow Up Boss/).click();
  await page.getByLabel("API key").fill(stage.apiKey);
  await page.keyboard.press("Enter");
  await page.getByRole("status").filter({ hasText: "is connected" }).waitFor({ state: "attached" });
  const [credential] = await credentials(consumer);
  assert.equal(credential.appKey, "follow-up-boss");
  assert.deepEqual(credential.entitiesToSync, { notes: true });
  assert.deepEqual(await told(), [{ type: "credential-added", id: credential.id, appKey: "follow-up-boss" }]);
  await page.getByText(credential.label, { exact: true }).waitFor();

  await page.reload();
  await app(page, /Follow Up Boss.*Connected/).click();
  await page.getByRole("button", { name: `Delete ${credential.label}` }).click();
  await page.getByRole("button", { name: "Cancel" }).click();
  assert.equal((await credentials(consumer)).length, 1);
  await page.getByRole("button", { name: `Delete ${credential.label}` }).click();
  await page.getByRole("button", { name: "Delete", exact: true }).click();
  await page.getByRole("status").filter({ hasText: "is deleted" }).waitFor({ state: "attached" });
  assert.deepEqual(await credentials(consumer), []);
  assert.deepEqual(await told(), [{ type: "credential-deleted", id: credential.id, appKey: "follow-up-boss" }]);
  await settled();
});

test("a person signs in at the app", async (t) => {
  const consumer = someone();
  const { page, settled, told } = await open(t, consumer, 'apps="followupboss" plan="oauth"');
  const [window] = await Promise.all([page.waitForEvent("popup"), page.getByRole("button", { name: "Sign in with Follow Up Boss" }).click()]);
  await window.waitForURL(/oauth\/authorize/);
  const closed = window.waitForEvent("close");
  await signInThere(window);
  await closed;
  await page.getByRole("status").filter({ hasText: "is connected" }).waitFor({ state: "attached" });
  const [credential] = await credentials(consumer);
  assert.equal(credential.plan, "oauth");
  assert.deepEqual(await told(), [{ type: "credential-added", id: credential.id, appKey: "follow-up-boss" }]);
  await settled();
});

test("the window tells the page that began the sign-in, and no other origin", async (t) => {
  const consumer = someone();
  const { page, server } = await open(t, consumer, 'apps="follow-up-boss"');
  const begun = await fetch(`${stage.host}/api/oauth/authorize-url`, {
    method: "POST",
    headers: { authorization: `Bearer ${token(consumer)}`, "content-type": "application/json", origin: "http://127.0.0.1:9" },
    body: JSON.stringify({ appKey: "follow-up-boss" }),
  });
  const { url } = await begun.json();
  await page.evaluate(() => window.addEventListener("message", ({ data }) => window.told.push(data)));
  const opening = page.waitForEvent("popup");
  await page.evaluate((url) => void window.open(url), url);
  const window = await opening;
  const closed = window.waitForEvent("close");
  await signInThere(window);
  await closed;
  assert.equal((await credentials(consumer)).length, 1, "it is connected");
  assert.deepEqual(await page.evaluate(() => window.told), [], `${server.url} was told what was for another`);
});

test("a person chooses the way, and adds another account of the same app", async (t) => {
  const consumer = someone();
  const first = await connect(consumer);
  const { page, settled, told } = await open(t, consumer, 'apps="follow-up-boss"');
  await page.getByText(first.label, { exact: true }).waitFor();
  await page.getByRole("button", { name: "Connect another account" }).click();
  await page.getByRole("radio", { name: "Sign in" }).check();
  await page.getByRole("button", { name: "Sign in with Follow Up Boss" }).waitFor();
  await page.getByRole("radio", { name: "API key" }).check();
  await page.getByLabel("API key", { exact: true }).and(page.locator("input[type=password]")).fill(stage.secondKey);
  await page.getByRole("button", { name: "Connect", exact: true }).click();
  await page.getByRole("status").filter({ hasText: "is connected" }).waitFor({ state: "attached" });
  const all = await credentials(consumer);
  assert.equal(all.length, 2);
  assert.equal(await page.getByRole("listitem").count(), 2);
  assert.deepEqual((await told()).map(({ type }) => type), ["credential-added"]);
  await settled();
});

test("each kind of input is filled in, with values that the page gives", async (t) => {
  const consumer = someone();
  const overrides = { "conformance-marked-up": { account: { initialValue: "given", disabled: true }, apiKey: { visible: false, initialValue: "k" } } };
  const { page, settled } = await open(t, consumer, `apps="conformance-marked-up" field-overrides='${JSON.stringify(overrides)}'`);
  const account = page.getByRole("textbox", { name: /^Account/ });
  await account.waitFor();
  assert.equal(await account.inputValue(), "given");
  assert.ok(await account.isDisabled());
  assert.equal(await page.getByRole("textbox", { name: "API key" }).count(), 0);
  await page.getByRole("button", { name: "Connect", exact: true }).click();
  await page.getByText("Region is required.").waitFor();
  await page.getByRole("combobox", { name: "Region" }).selectOption("us");
  await page.getByRole("textbox", { name: /^Offices/ }).fill("Bonn");
  await page.getByRole("button", { name: /^Another office/ }).click();
  await page.keyboard.type("Ulm");
  await page.getByRole("button", { name: /^Another office/ }).click();
  await page.keyboard.type("Trier");
  await page.getByRole("button", { name: /^Remove Offices/ }).nth(1).click();
  const [sent] = await Promise.all([
    page.waitForRequest((request) => request.method() === "POST" && request.url().endsWith("/api/credentials")),
    page.getByRole("button", { name: "Connect", exact: true }).click(),
  ]);
  assert.deepEqual(sent.postDataJSON().userInputs, { account: "given", region: "us", offices: ["Bonn", "Trier"], apiKey: "k" });
  await page.getByRole("status").filter({ hasText: "is connected" }).waitFor({ state: "attached" });
  assert.equal((await credentials(consumer)).length, 1);
  await settled();
});

test("only what the page asks for is offered", async (t) => {
  const consumer = someone();
  const { page } = await open(t, consumer, 'apps="hubspot, Follow_Up_Boss" categories="crm"');
  await app(page, /HubSpot/).waitFor();
  const link = page.locator("rollout-link");
  const names = () => page.locator("rollout-link [part~=name]").allTextContents();
  assert.deepEqual(await names(), ["HubSpot", "Follow Up Boss"]);
  await link.evaluate((element) => element.setAttribute("categories", "los"));
  await page.getByText("There is nothing to connect.").waitFor();
  await link.evaluate((element) => (element.categories = { crm: true, los: false }));
  await app(page, /HubSpot/).waitFor();
  await link.evaluate((element) => (element.apps = ["hubspot"]));
  await page.getByRole("heading", { name: "Connect HubSpot" }).waitFor();
  await link.evaluate((element) => (element.texts = { connectTo: "{app} verbinden" }));
  await page.getByRole("heading", { name: "HubSpot verbinden" }).waitFor();
  await link.evaluate((element) => (element.apps = ["nothing"]));
  await page.getByRole("alert").filter({ hasText: "nothing can't be connected here." }).waitFor();
});

test("all of it can be done with the keyboard", async (t) => {
  const consumer = someone();
  const { page } = await open(t, consumer, 'plan="api-key" apps="follow-up-boss hubspot"');
  await app(page, /Follow Up Boss/).waitFor();
  const focused = () => page.evaluate(() => document.activeElement.shadowRoot?.activeElement?.textContent);
  await page.keyboard.press("Tab");
  assert.match(await focused(), /Follow Up Boss/);
  await page.keyboard.press("Enter");
  assert.equal(await focused(), "Connect Follow Up Boss");
  await page.keyboard.press("Tab");
  await page.keyboard.type(stage.apiKey);
  await page.keyboard.press("Enter");
  await page.getByRole("status").filter({ hasText: "is connected" }).waitFor({ state: "attached" });
  assert.equal(await focused(), "Follow Up Boss");
  await page.keyboard.press("Tab");
  assert.equal(await focused(), "Delete");
  await page.keyboard.press("Enter");
  assert.equal(await focused(), "Cancel");
  await page.keyboard.press("Escape");
  assert.equal(await focused(), "Delete");
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Enter");
  assert.match(await focused(), /Follow Up Boss/, "back in the list at the app");
});

test("a token that has expired is asked for again, in the middle of it too", async (t) => {
  const consumer = someone();
  const { page, server, settled } = await open(t, consumer, 'apps="follow-up-boss" plan="api-key"', { query: "&first=-3600" });
  await page.getByLabel("API key").waitFor();
  assert.equal(server.asked.length, 2, "the first one was expired");
  // The one that it has now is refused once more, when the key is sent.
  let refused = 0;
  await page.route("**/api/credentials", (route) => {
    if (route.request().method() !== "POST" || refused > 0) return route.continue();
    refused += 1;
    return route.continue({ headers: { ...route.request().headers(), authorization: `Bearer ${token(consumer, -3600)}` } });
  });
  await page.getByLabel("API key").fill(stage.apiKey);
  await page.keyboard.press("Enter");
  await page.getByRole("status").filter({ hasText: "is connected" }).waitFor({ state: "attached" });
  assert.equal(refused, 1);
  assert.equal(server.asked.length, 3);
  assert.equal((await credentials(consumer)).length, 1);
  await settled();
});

test("what changed in another tab is seen when one comes back", async (t) => {
  const consumer = someone();
  const { page } = await open(t, consumer, 'apps="follow-up-boss hubspot"');
  await app(page, /Follow Up Boss/).waitFor();
  const connected = await connect(consumer);
  const seen = app(page, /Follow Up Boss.*Connected/);
  const deadline = Date.now() + 30_000;
  while ((await seen.count()) === 0 && Date.now() < deadline) {
    await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
  }
  await seen.click();
  await api(consumer, `/api/credentials?credentialId=${connected.id}`, { method: "DELETE" });
  await page.getByRole("button", { name: /^Delete/ }).click();
  await page.getByRole("button", { name: "Delete", exact: true }).click();
  // It is gone, whoever did it.
  await page.getByRole("status").filter({ hasText: "is deleted" }).waitFor({ state: "attached" });
  await page.getByRole("button", { name: "Back" }).click();
  await app(page, /^Follow Up Boss$/).waitFor();
});

test("the React component, in a page that is drawn again meanwhile", async (t) => {
  const consumer = someone();
  const server = await product(await bundle("ours.jsx"));
  const context = await newContext(chromium);
  const page = await context.newPage();
  t.after(async () => {
    await context.close();
    server.close();
  });
  await page.goto(`${server.url}/?consumer=${consumer}`);
  await page.locator("rollout-link.in-settings").getByLabel("API key").fill(stage.apiKey);
  await page.getByRole("button", { name: "Turn 0" }).click();
  await page.getByRole("button", { name: "Turn 1" }).waitFor();
  assert.equal(await page.getByLabel("API key").inputValue(), stage.apiKey, "what was entered stays");
  await page.getByRole("button", { name: "Connect", exact: true }).click();
  await page.getByRole("button", { name: "Turn 2" }).waitFor();
  const [credential] = await credentials(consumer);
  assert.deepEqual(credential.entitiesToSync, { notes: true });
  await page.getByRole("button", { name: /^Delete/ }).click();
  await page.getByRole("button", { name: "Delete", exact: true }).click();
  await page.getByRole("button", { name: "Turn 3" }).waitFor();
  const named = { id: credential.id, appKey: "follow-up-boss" };
  assert.deepEqual(await page.evaluate(() => window.heard), [
    { type: "success", turns: 1, ...named },
    { type: "delete", turns: 2, ...named },
  ]);
  assert.equal(server.asked.length, 1, "one token is enough");
});
