// What the element is built of. The browser never parses markup for it, so that it
// works where a policy asks for trusted types, and a name is text whatever it looks like.

// A node with attributes, listeners (`onclick`) and children; what is missing is left out.
function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== undefined && child !== null));
  return node;
}

const HELPFUL = /<(\/?)(a|b|i|code|br|p)((?:\s+[a-z]+="[^"]*")*)\s*\/?>/gi;
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };

// The little markup that help texts of connectors may have. The host has taken out the
// rest already; whatever else looks like a tag is shown as text.
function rich(html) {
  const root = document.createDocumentFragment();
  const open = [root];
  const write = (text) => open.at(-1).append(decoded(text));
  let at = 0;
  for (const found of html.matchAll(HELPFUL)) {
    write(html.slice(at, found.index));
    at = found.index + found[0].length;
    const [, closes, tag, attributes] = found;
    const name = tag.toLowerCase();
    if (closes) {
      const place = open.findLastIndex((node) => node.localName === name);
      if (place > 0) open.length = place;
      continue;
    }
    const node = el(name);
    if (name === "a") {
      const href = safeAddress(/\shref="([^"]*)"/i.exec(attributes)?.[1]);
      if (href) {
        node.href = href;
        node.target = "_blank";
        node.rel = "noopener noreferrer";
      }
    }
    open.at(-1).append(node);
    if (name !== "br") open.push(node);
  }
  write(html.slice(at));
  return root;
}

function decoded(text) {
  return text.replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]+));/gi, (whole, decimal, hex, name) => {
    if (name) return ENTITIES[name.toLowerCase()] ?? whole;
    const point = decimal ? Number(decimal) : Number.parseInt(hex, 16);
    return point <= 0x10ffff ? String.fromCodePoint(point) : whole;
  });
}

function safeAddress(text) {
  const address = text && parsed(decoded(text));
  return address?.protocol === "https:" ? address.href : undefined;
}

function parsed(text) {
  try {
    return new URL(text);
  } catch {
    return undefined;
  }
}

// The first letters of a name, where it has no picture.
function initials(name) {
  const words = name.trim().split(/\s+/u);
  return words.slice(0, 2).map((word) => [...word][0] ?? "").join("").toUpperCase();
}
