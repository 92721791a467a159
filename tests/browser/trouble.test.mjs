// Everything that goes wrong is said in plain words, the form stays usable, and nothing
// is half connected.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { asks, browser, credentials, elementPage, newContext, product, signInThere, someone, stage, token } from "./stage.mjs";

let chromium;
before(async () => (chromium = await browser()));
after(() => chromium.close());

async function open(t, consumer, attributes = 'apps="follow-up-boss" plan="api-key"', { script = asks(consumer), prepare } = {}) {
  const server = await product(elementPage(attributes, { before: script }));
  const context = await newContext(chromium);
  const page = await context.newPage();
  t.after(async () => {
    await context.close();
    server.close();
  });
  await prepare?.(context, page);
  await page.goto(server.url);
  return { page, context, server };
}

const alert = (page) => page.getByRole("alert").filter({ visible: true });
const connected = (page) => page.getByRole("status").filter({ hasText: "is connected" }).waitFor({ state: "attached" });
const key = (page) => page.getByLabel("API key");
const codes = async (page) => (await page.evaluate(() => window.told)).map(({ type, code }) => code ?? type);

// The form is as it was, and a good key is all that it takes.
async function goesOn(page, consumer) {
  assert.deepEqual(await credentials(consumer), []);
  await key(page).fill(stage.apiKey);
  await page.keyboard.press("Enter");
  await connected(page);
  assert.equal((await credentials(consumer)).length, 1);
}

test("a wrong key", async (t) => {
  const consumer = someone();
  const { page } = await open(t, consumer);
  await key(page).fill("fka_wrong");
  await page.keyboard.press("Enter");
  await alert(page).waitFor();
  assert.notEqual((await alert(page).textContent()).trim(), "");
  assert.deepEqual(await codes(page), ["invalid_credentials"]);
  assert.equal(await key(page).inputValue(), "fka_wrong", "it can be mended");
  await goesOn(page, consumer);
});

test("no key at all, and one that is no key", async (t) => {
  const consumer = someone();
  const { page } = await open(t, consumer);
  await page.getByRole("button", { name: "Connect" }).click();
  await page.getByText("API key is required.").waitFor();
  assert.equal(await key(page).getAttribute("aria-invalid"), "true");
  await key(page).fill("a\u0007b");
  await page.getByRole("button", { name: "Connect" }).click();
  await page.getByText("control character").waitFor();
  assert.match(await key(page).evaluate((input) => input.getAttribute("aria-describedby")), /complaint/);
  await goesOn(page, consumer);
});

test("a token that has expired, and no other", async (t) => {
  const consumer = someone();
  const script = `document.addEventListener("DOMContentLoaded", () => (document.querySelector("rollout-link").token = "${token(consumer, -3600)}"));`;
  const { page } = await open(t, consumer, undefined, { script });
  await alert(page).filter({ hasText: "session has ended" }).waitFor();
  assert.deepEqual(await codes(page), ["unauthorized"]);
  await page.locator("rollout-link").evaluate((element, token) => (element.token = token), token(consumer));
  await goesOn(page, consumer);
});

test("a page whose server gives no token", async (t) => {
  const consumer = someone();
  const script = 'document.addEventListener("DOMContentLoaded", () => (document.querySelector("rollout-link").token = async () => { throw new Error("no"); }));';
  const { page } = await open(t, consumer, undefined, { script });
  await alert(page).waitFor();
  assert.deepEqual(await codes(page), ["token"]);
});

test("the network is down, at first and when a key is sent", async (t) => {
  const consumer = someone();
  let down = true;
  const prepare = (context) => context.route("**/api/**", (route) => (down ? route.abort() : route.continue()));
  const { page } = await open(t, consumer, undefined, { prepare });
  await alert(page).filter({ hasText: "can't be reached" }).waitFor();
  down = false;
  await page.getByRole("button", { name: "Try again" }).click();
  await key(page).fill(stage.apiKey);
  down = true;
  await page.keyboard.press("Enter");
  await alert(page).filter({ hasText: "can't be reached" }).waitFor();
  assert.deepEqual(await codes(page), ["network", "network"]);
  down = false;
  await goesOn(page, consumer);
});

for (const [name, answer] of [
  ["as the host says it", { contentType: "application/json", body: '{"errorMessage":"x","errors":[{"message":"Internal","code":"internal"}]}' }],
  ["as a proxy says it", { contentType: "text/html", body: "<h1>Bad gateway</h1>" }],
  ["with an error that is none", { contentType: "application/json", body: "[]" }],
]) {
  test(`500, ${name}`, async (t) => {
    const consumer = someone();
    let broken = true;
    const cors = { "access-control-allow-origin": "*" };
    const prepare = (context) =>
      context.route("**/api/cre*", (route) => {
        if (!broken || route.request().method() === "OPTIONS") return route.continue();
        return route.fulfill({ status: 500, headers: cors, ...answer });
      });
    const { page } = await open(t, consumer, undefined, { prepare });
    await alert(page).filter({ hasText: "went wrong" }).waitFor();
    broken = false;
    await page.getByRole("button", { name: "Try again" }).click();
    await key(page).fill(stage.apiKey);
    broken = true;
    await page.keyboard.press("Enter");
    await alert(page).filter({ hasText: "went wrong" }).waitFor();
    broken = false;
    await goesOn(page, consumer);
  });
}

const SIGN_IN = 'apps="follow-up-boss" plan="oauth"';

function begin(page) {
  const button = page.getByRole("button", { name: "Sign in with Follow Up Boss" });
  return Promise.all([page.waitForEvent("popup"), button.click()]).then(([window]) => window);
}

test("a person who does not agree at the app, and then does", async (t) => {
  const consumer = someone();
  const { page } = await open(t, consumer, SIGN_IN);
  await signInThere(await begin(page), "denied");
  await alert(page).filter({ hasText: "Follow Up Boss was not allowed" }).waitFor();
  assert.deepEqual(await codes(page), ["not_connected"]);
  assert.deepEqual(await credentials(consumer), []);
  await signInThere(await begin(page));
  await connected(page);
});

test("an app whose sign-in is out of order", async (t) => {
  const consumer = someone();
  const { page } = await open(t, consumer, SIGN_IN);
  const window = await begin(page);
  await window.waitForURL(/oauth\/authorize/);
  const state = new URL(window.url()).searchParams.get("state");
  await window.goto(`${stage.host}/api/oauth/redirect?state=${encodeURIComponent(state)}&error=server_error&error_description=out%20of%20order`).catch(() => {});
  await alert(page).filter({ hasText: "out of order" }).waitFor();
  assert.deepEqual(await credentials(consumer), []);
});

test("the window is blocked", async (t) => {
  const consumer = someone();
  const { page } = await open(t, consumer, SIGN_IN, { prepare: (context) => context.addInitScript("window.open = () => null") });
  await page.getByRole("button", { name: "Sign in with Follow Up Boss" }).click();
  await alert(page).filter({ hasText: "blocked" }).waitFor();
  const [window] = await Promise.all([page.waitForEvent("popup"), page.getByRole("link", { name: "Open the sign-in page" }).click()]);
  await signInThere(window);
  await connected(page);
  assert.equal((await credentials(consumer)).length, 1);
});

test("the window is closed", async (t) => {
  const consumer = someone();
  const { page } = await open(t, consumer, SIGN_IN);
  await (await begin(page)).close();
  await alert(page).filter({ hasText: "closed before Follow Up Boss was connected" }).waitFor();
  assert.deepEqual(await codes(page), ["closed"]);
  await signInThere(await begin(page));
  await connected(page);
});

test("the app's page cuts the window off from ours", async (t) => {
  const consumer = someone();
  const prepare = (context) =>
    context.route(/\/oauth\/authorize/, async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, headers: { ...response.headers(), "cross-origin-opener-policy": "same-origin" } });
    });
  const { page, context } = await open(t, consumer, SIGN_IN, { prepare });
  const opening = context.waitForEvent("page");
  await page.getByRole("button", { name: "Sign in with Follow Up Boss" }).click();
  const window = await opening;
  await window.waitForURL(/oauth\/authorize/);
  await signInThere(window);
  await window.getByRole("heading", { name: "Connected" }).waitFor();
  await window.close();
  // A person comes back to the page.
  await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
  await connected(page);
  assert.equal((await credentials(consumer)).length, 1);
});

test("a sign-in is used once, whoever goes back to it", async (t) => {
  const consumer = someone();
  const { page, context } = await open(t, consumer, SIGN_IN);
  const window = await begin(page);
  const back = window.waitForRequest(/oauth\/redirect/);
  await signInThere(window);
  const address = (await back).url();
  await connected(page);
  const again = await context.newPage();
  await again.goto(address);
  await again.getByText("has been used already").waitFor();
  assert.equal((await credentials(consumer)).length, 1);
});

test("back and forth in the browser's history", async (t) => {
  const consumer = someone();
  const { page, server } = await open(t, consumer, 'apps="follow-up-boss hubspot" plan="api-key"');
  await page.getByRole("button", { name: "Follow Up Boss" }).click();
  await key(page).fill("half");
  await page.goto(`${server.url}/style.css`);
  await page.goBack();
  await page.getByRole("button", { name: "Follow Up Boss" }).or(key(page)).first().waitFor();
  if (await page.getByRole("button", { name: "Follow Up Boss" }).count()) {
    await page.getByRole("button", { name: "Follow Up Boss" }).click();
  }
  await goesOn(page, consumer);
});

test("a double click sends once", async (t) => {
  const consumer = someone();
  const { page } = await open(t, consumer);
  let sent = 0;
  page.on("request", (request) => {
    if (request.method() === "POST" && request.url().endsWith("/api/credentials")) sent += 1;
  });
  await key(page).fill(stage.apiKey);
  await page.getByRole("button", { name: "Connect" }).dblclick();
  await connected(page);
  assert.equal(sent, 1);
  assert.equal((await credentials(consumer)).length, 1);
});

test("a page that says something wrong", async (t) => {
  const consumer = someone();
  const { page } = await open(t, consumer, 'apps="follow-up-boss" plan="none" entities-to-sync="{bad" field-overrides="{"');
  await alert(page).filter({ hasText: "can't be connected by the plan “none”" }).waitFor();
  assert.deepEqual(await codes(page), ["unknown_plan"]);
});
