// The element <rollout-link> as a React component:
//
//   <RolloutLink token={token} onSuccess={(credential) => …} />
//
// React comes from the page or its bundler. The element's script is loaded from the host
// that this file came from, or from the one that `apiBaseUrl` names.

import { createElement, useEffect, useRef } from "react";

// Where this file came from; a bundler may not say.
const HERE = import.meta.url ?? "";
const ORIGIN = /\/link-react\.js(\?|$)/.test(HERE) ? new URL(HERE).origin : undefined;

let loading;
function load(origin) {
  if (loading || customElements.get("rollout-link")) return;
  loading = document.createElement("script");
  loading.src = `${origin}/link.js`;
  loading.async = true;
  // The next component tries again.
  loading.onerror = () => (loading = undefined);
  document.head.append(loading);
}

const OPTIONS = ["apiBaseUrl", "apps", "categories", "plan", "entitiesToSync", "fieldOverrides", "texts"];

// All properties but `token` are optional; what is not listed here goes to the element as it is.
export function RolloutLink({ token, onSuccess, onDelete, onError, className, ...rest }) {
  const element = useRef(null);
  // What is called is always the newest, though a page makes new functions at every turn.
  const latest = useRef({});
  latest.current = { token, onSuccess, onDelete, onError };

  const options = Object.fromEntries(OPTIONS.map((name) => [name, rest[name]]));
  const attributes = Object.fromEntries(Object.entries(rest).filter(([name]) => !OPTIONS.includes(name)));
  options.apiBaseUrl ??= ORIGIN && `${ORIGIN}/api`;

  useEffect(() => {
    const node = element.current;
    const told = [
      ["credential-added", (event) => latest.current.onSuccess?.(event.detail)],
      ["credential-deleted", (event) => latest.current.onDelete?.(event.detail)],
      ["error", (event) => latest.current.onError?.(event.detail)],
    ];
    for (const [type, listener] of told) node.addEventListener(type, listener);
    return () => {
      for (const [type, listener] of told) node.removeEventListener(type, listener);
    };
  }, []);

  // A change is one of content: pages write their lists anew at every turn.
  for (const name of OPTIONS) {
    useEffect(() => {
      if (options[name] !== undefined || element.current[name] !== undefined) element.current[name] = options[name];
    }, [JSON.stringify(options[name])]);
  }

  const asks = typeof token === "function";
  useEffect(() => {
    element.current.token = asks ? () => latest.current.token() : token;
  }, [asks || token]);

  useEffect(() => {
    if (options.apiBaseUrl) load(new URL(options.apiBaseUrl, location.href).origin);
    else console.error("RolloutLink: apiBaseUrl is missing, for example https://universal.example.com/api");
  }, [options.apiBaseUrl]);

  return createElement("rollout-link", { ...attributes, class: className, ref: element });
}
