// What a page says to the element, as attributes (text) or properties (text or values).

const SINGLE = "*";

// "crm los", ["crm", "los"] or { crm: true }; undefined: all.
function names(value) {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "string") return value.split(/[\s,]+/).filter(Boolean);
  if (Array.isArray(value)) return value.map(String);
  return Object.keys(value).filter((key) => value[key]);
}

// "notes tasks" or { notes: true }.
function flags(value) {
  const json = object(value);
  if (json) return json;
  const list = names(value);
  return list && Object.fromEntries(list.map((name) => [name, true]));
}

// A plan for every app ("api-key"), or one by app: "lofty:api-key hubspot:oauth" or
// { lofty: "api-key" }.
function plans(value) {
  const json = object(value);
  const pairs = json ? Object.entries(json) : (names(value) ?? []).map((text) => {
    const [app, plan] = text.split(":");
    return plan === undefined ? [SINGLE, app] : [app, plan];
  });
  return Object.fromEntries(pairs.map(([app, plan]) => [folded(app), plan]));
}

function byApp(value) {
  const entries = Object.entries(object(value) ?? {});
  return Object.fromEntries(entries.map(([app, overrides]) => [folded(app), overrides]));
}

// An object, as it is or as JSON.
function object(value) {
  if (typeof value === "string" && value.trim().startsWith("{")) return JSON.parse(value);
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
}

// App keys are the same whatever their case and hyphens.
function folded(key) {
  return key.toLowerCase().replace(/[-_]/g, "");
}

const texts = (value) => ({ ...TEXTS, ...object(value) });
const address = (value) => value && value.replace(/\/+$/, "");

// Property, attribute, how its value is read, and whether what is on screen follows a
// change at once.
const OPTIONS = [
  { property: "apiBaseUrl", attribute: "api-base-url", read: address, reloads: true },
  { property: "apps", attribute: "apps", read: names, redraws: true },
  { property: "categories", attribute: "categories", read: names, redraws: true },
  { property: "plan", attribute: "plan", read: plans },
  { property: "entitiesToSync", attribute: "entities-to-sync", read: flags },
  { property: "fieldOverrides", attribute: "field-overrides", read: byApp },
  { property: "texts", attribute: "texts", read: texts, redraws: true },
];
