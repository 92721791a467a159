// The published React client, unchanged, in the two versions that are there.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { browser, bundle, credentials, newContext, product, signInThere, someone, stage } from "./stage.mjs";

let chromium;
before(async () => (chromium = await browser()));
after(() => chromium.close());

async function open(t, entry, query, prepare) {
  const server = await product(await bundle(entry));
  const context = await newContext(chromium);
  await prepare?.(context);
  const page = await context.newPage();
  t.after(async () => {
    await context.close();
    server.close();
  });
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(String(error)));
  await page.goto(`${server.url}/?${new URLSearchParams(query)}`);
  await page.locator(".universal-ConnectorListItem-root", { hasText: "Follow Up Boss" }).click();
  return { page, wrong };
}

const told = (page) => page.evaluate(() => window.told);
const account = (page) => page.locator(".universal-CredentialsManagerCredential-root");

async function remove(page) {
  await account(page).getByRole("button").first().click();
  // It asks once more.
  await page.getByRole("button", { name: /delete|confirm|yes/i }).last().click();
}

// What both have, by each one's names.
const VERSIONS = {
  "0.14": { form: ".universal-AuthUserInputs-root", submit: ".universal-AuthUserInputsForm-submitButton" },
  "0.5": { form: ".universal-CredentialForm-userInputs", submit: ".universal-CredentialForm-userInputs button[type=submit]" },
};

for (const [version, { form, submit }] of Object.entries(VERSIONS)) {
  const entry = `published-${version}.jsx`;

  test(`${version}: a key is entered, the account listed, kept over a reload, and deleted`, async (t) => {
    const consumer = someone();
    const { page, wrong } = await open(t, entry, { consumer });
    await page.locator(`${form} input`).fill(stage.apiKey);
    await page.locator(submit).click();
    await account(page).first().waitFor();
    const [credential] = await credentials(consumer);
    assert.deepEqual(credential.entitiesToSync, { notes: true });
    assert.deepEqual((await told(page)).map(({ type, id }) => [type, id]), [["credential-added", credential.id]]);
    assert.ok((await account(page).textContent()).includes(credential.label));

    await page.reload();
    await page.locator(".universal-ConnectorListItem-root[data-connected]", { hasText: "Follow Up Boss" }).click();
    await account(page).first().waitFor();
    await remove(page);
    await account(page).first().waitFor({ state: "detached" });
    assert.deepEqual(await credentials(consumer), []);
    assert.deepEqual((await told(page)).map(({ type, id }) => [type, id]), [["credential-deleted", credential.id]]);
    assert.deepEqual(wrong, []);
  });

  test(`${version}: a wrong key is said to be wrong, and the form goes on`, async (t) => {
    const consumer = someone();
    const { page, wrong } = await open(t, entry, { consumer });
    const input = page.locator(`${form} input`);
    await input.fill("fka_wrong");
    await page.locator(submit).click();
    await page.getByText(/Follow Up Boss does not accept|Invalid|not/).last().waitFor();
    assert.deepEqual(await credentials(consumer), []);
    await input.fill(stage.apiKey);
    await page.locator(submit).click();
    await account(page).first().waitFor();
    assert.deepEqual(wrong, []);
  });
}

// The older one knows no plans: it is shown an app whose first plan is to sign in.
async function firstToSignIn(route) {
  const response = await route.fetch();
  const connectors = await response.json();
  const app = connectors["follow-up-boss"];
  app.auth = app.authByPlan.oauth;
  await route.fulfill({ response, json: connectors });
}

for (const version of Object.keys(VERSIONS)) test(`${version}: a person signs in at the app`, async (t) => {
  const consumer = someone();
  const prepare = (context) => version === "0.5" && context.route("**/api/connectors", firstToSignIn);
  const { page, wrong } = await open(t, `published-${version}.jsx`, { consumer, plan: "oauth" }, prepare);
  const [window] = await Promise.all([page.waitForEvent("popup"), page.getByRole("button", { name: /^Connect|^Sign in|^Authorize|^Link/ }).last().click()]);
  await window.waitForURL(/oauth\/authorize/);
  const closed = window.waitForEvent("close");
  await signInThere(window);
  await closed;
  await account(page).first().waitFor();
  const [credential] = await credentials(consumer);
  assert.equal(credential.plan, "oauth");
  assert.deepEqual((await told(page)).map(({ type, id }) => [type, id]), [["credential-added", credential.id]]);
  assert.deepEqual(wrong, []);
});
