// What the tests share: a browser, a product's pages on an origin of their own, and
// tokens as a product's server makes them. The hosts are started by `link_browser.rs`.

import { createHmac } from "node:crypto";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const installed = process.env.ROLLOUT_BROWSER;
// What `tests/browser/run` installed.
export const require = createRequire(`${installed}/`);
const { chromium } = require("playwright-core");
const esbuild = require("esbuild");

// The hosts, as `link_browser.rs` started them.
export const stage = JSON.parse(process.env.ROLLOUT_BROWSER_STAGE);

const here = dirname(fileURLToPath(import.meta.url));

function program() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  const found = process.env.PATH.split(delimiter).map((folder) => join(folder, "chromium")).find(existsSync);
  if (!found) throw new Error("there is no chromium in PATH; CHROMIUM can name one");
  return found;
}

export async function browser(more = []) {
  return chromium.launch({ executablePath: program(), args: ["--no-sandbox", "--disable-dev-shm-usage", ...more] });
}

// As a person with nothing stored, who does not wait for ever.
export async function newContext(chromium, options) {
  const context = await chromium.newContext(options);
  context.setDefaultTimeout(15_000);
  return context;
}

// A token of a consumer, good for so many seconds; fewer than none: it has expired.
export function token(consumer, seconds = 900) {
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: stage.clientId, sub: consumer, iat: Math.min(now, now + seconds) - 60, exp: now + seconds };
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${part({ alg: "HS512", typ: "JWT" })}.${part(claims)}`;
  return `${signed}.${createHmac("sha512", stage.clientSecret).update(signed).digest("base64url")}`;
}

let consumers = 0;
// One that no other test has.
export function someone() {
  consumers += 1;
  return `browser-${process.pid}-${consumers}`;
}

// The host's API, asked as a product's server does.
export async function api(consumer, path, init = {}) {
  const headers = { authorization: `Bearer ${token(consumer)}`, "content-type": "application/json" };
  const answer = await fetch(`${stage.host}${path}`, { ...init, headers });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.status === 204 ? undefined : answer.json();
}

export async function credentials(consumer) {
  return api(consumer, "/api/credentials");
}

export async function connect(consumer, key = stage.apiKey) {
  const body = JSON.stringify({ appKey: "follow-up-boss", userInputs: { apiKey: key } });
  return api(consumer, "/api/credentials", { method: "POST", body });
}

// A policy that lets a page do no more than the element needs.
export function strict(host) {
  const socket = host.replace("http", "ws");
  return (
    `default-src 'none'; script-src 'self' ${host}; style-src 'self'; img-src ${host}; connect-src 'self' ${host} ${socket}; ` +
    "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
  );
}

// A product's server: pages by their paths, each { type, body, headers }, and tokens.
export async function product(pages) {
  const asked = [];
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url, "http://product");
    if (pathname === "/token") {
      asked.push(searchParams.get("consumer"));
      const seconds = asked.length === 1 ? Number(searchParams.get("first") ?? 900) : 900;
      return response.end(token(searchParams.get("consumer"), seconds));
    }
    const page = pages[pathname];
    if (!page) return response.writeHead(pathname === "/favicon.ico" ? 204 : 404).end();
    response.writeHead(200, { "content-type": page.type ?? "text/html; charset=utf-8", ...page.headers }).end(page.body);
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  const url = `http://127.0.0.1:${server.address().port}`;
  return { url, asked, close: () => server.close() };
}

// A page with the element. What it is told is kept in `window.told`.
export function elementPage(attributes = "", { host = stage.host, style = "", before = "" } = {}) {
  const body = `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Product</title><link rel="stylesheet" href="/style.css"><script src="/before.js"></script>
<script src="${host}/link.js" defer></script></head><body><main><h1>Settings</h1><rollout-link ${attributes}></rollout-link></main></body></html>`;
  return {
    "/": { body, headers: { "content-security-policy": strict(host) } },
    "/style.css": { type: "text/css", body: `:root { color-scheme: light dark; } body { font: 16px/1.5 sans-serif; margin: 1rem; background: Canvas; color: CanvasText } h1 { font-size: 1.4rem } ${style}` },
    "/before.js": { type: "text/javascript", body: `${KEEPER}\n${before}` },
  };
}

const KEEPER = `
window.told = [];
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective + " " + event.blockedURI));
for (const type of ["credential-added", "credential-deleted"]) {
  document.addEventListener(type, ({ detail }) => window.told.push({ type, ...detail }));
}
document.addEventListener("DOMContentLoaded", () => {
  document.querySelector("rollout-link")?.addEventListener("error", ({ detail: { code, status } }) => window.told.push({ type: "error", code, status }));
});`;

// Has the page ask its server for tokens, of this consumer.
export function asks(consumer, query = "") {
  return `document.addEventListener("DOMContentLoaded", () => {
    document.querySelector("rollout-link").token = async () => (await fetch("/token?consumer=${consumer}${query}")).text();
  });`;
}

// A program for a page with a React client, bundled as a product does it.
export async function bundle(entry) {
  const built = await esbuild.build({
    entryPoints: [join(here, "pages", entry)],
    bundle: true,
    write: false,
    format: "iife",
    jsx: "automatic",
    outdir: "out",
    define: { "process.env.NODE_ENV": '"production"', STAGE_HOST: JSON.stringify(stage.host) },
    nodePaths: [join(installed, "node_modules")],
    logLevel: "error",
  });
  const text = (end) => built.outputFiles.find(({ path }) => path.endsWith(end))?.text ?? "";
  const body = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Product</title>
<link rel="stylesheet" href="/page.css"><script>${KEEPER}</script></head><body><div id="root"></div><script src="/page.js"></script></body></html>`;
  return {
    "/": { body },
    "/page.js": { type: "text/javascript", body: text(".js") },
    "/page.css": { type: "text/css", body: text(".css") },
  };
}

// A file of the packages that were installed.
export function packaged(path) {
  return readFileSync(join(installed, "node_modules", path), "utf8");
}

// A picture for people to look at.
export async function picture(page, name) {
  const folder = join(installed, "pictures");
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
}

// Signs in at the simulated Follow Up Boss, in its window: `approved` or `denied`.
export async function signInThere(window, answer = "approved") {
  await window.fill("input[name=email]", stage.owner);
  await window.fill("input[name=password]", stage.password);
  await window.click("text=Log in");
  await window.click(`button[value=${answer}]`);
}
