// An app that mails a code while an account is being connected.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { asks, browser, bundle, credentials, elementPage, newContext, picture, product, someone, stage } from "./stage.mjs";

let chromium;
before(async () => (chromium = await browser()));
after(() => chromium.close());

async function open(t, pages, query = "", { prepare, ...options } = {}) {
  const server = await product(pages);
  const context = await newContext(chromium, options);
  t.after(async () => {
    await context.close();
    server.close();
  });
  await prepare?.(context);
  const page = await context.newPage();
  await page.goto(`${server.url}/${query}`);
  return page;
}

async function mailed() {
  const mails = await (await fetch(`${stage.codes.url}/mails`)).json();
  return mails.at(-1);
}

const told = (page) => page.evaluate(() => window.told.map(({ type }) => type));

async function begin(t, options) {
  const consumer = someone();
  const page = await open(t, elementPage(`apps="codes-by-mail" plan="password"`, { before: asks(consumer) }), "", options);
  await page.getByLabel("Email").fill(stage.codes.email);
  await page.getByLabel("Password").fill(stage.codes.password);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Check your mail" }).waitFor();
  assert.deepEqual(await credentials(consumer), []);
  return { consumer, page };
}

test("a code that is wrong, and then the one that was mailed", async (t) => {
  const { consumer, page } = await begin(t, { viewport: { width: 340, height: 700 } });
  assert.equal(await page.locator("rollout-link [part=code-message] b").textContent(), stage.codes.email);
  const code = page.getByRole("textbox", { name: "Code" });
  await code.fill("000000");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").filter({ hasText: "that is not the code" }).waitFor();
  await picture(page, "wrong-code");
  await code.fill(await mailed());
  await page.keyboard.press("Enter");
  await page.getByRole("status").filter({ hasText: "is connected" }).waitFor({ state: "attached" });
  const [credential] = await credentials(consumer);
  assert.equal(credential.label, stage.codes.email);
  assert.deepEqual(await told(page), ["error", "credential-added"]);
});

test("a connection that breaks while the code is on its way", async (t) => {
  let opened = 0;
  // The first one ends when the code is through; the host knows what came of that.
  const breaks = (socket) => {
    opened += 1;
    const host = socket.connectToServer();
    if (opened > 1) return;
    host.onMessage(() => socket.close());
  };
  const { consumer, page } = await begin(t, { prepare: (context) => context.routeWebSocket(/\/auth\/otp\//, breaks) });
  await page.getByRole("textbox", { name: "Code" }).fill(await mailed());
  await page.keyboard.press("Enter");
  await page.getByRole("status").filter({ hasText: "is connected" }).waitFor({ state: "attached" });
  assert.equal(opened, 2);
  assert.equal((await credentials(consumer)).length, 1);
});

test("a person who goes back finds the form as it was", async (t) => {
  const { page } = await begin(t);
  await page.getByRole("button", { name: "Cancel" }).click();
  assert.equal(await page.getByLabel("Email").inputValue(), stage.codes.email);
});

test("the published client 0.14", async (t) => {
  const consumer = someone();
  const page = await open(t, await bundle("published-0.14.jsx"), `?consumer=${consumer}`);
  await page.locator(".universal-ConnectorListItem-root", { hasText: "Codes by Mail" }).click();
  const inputs = page.locator(".universal-AuthUserInputs-root input");
  await inputs.nth(0).fill(stage.codes.email);
  await inputs.nth(1).fill(stage.codes.password);
  await page.locator(".universal-AuthUserInputsForm-submitButton").click();
  await page.getByText("Check your mail").waitFor();
  const code = page.locator("input").last();
  await code.fill("000000");
  await page.keyboard.press("Enter");
  await page.getByText("that is not the code").waitFor();
  await code.fill(await mailed());
  await page.keyboard.press("Enter");
  await page.locator(".universal-CredentialsManagerCredential-root").first().waitFor();
  const [credential] = await credentials(consumer);
  assert.equal(credential.label, stage.codes.email);
  assert.deepEqual(await told(page), ["credential-added"]);
});
