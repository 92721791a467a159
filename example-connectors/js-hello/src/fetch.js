// `fetch`, for a runtime that has none: the part of it that a connector needs, made of
// wasi:http. It answers at once and not with a promise, since a connector's functions
// are called one at a time and their answers are waited for.
//
// No key is named here or anywhere else in this connector. The host adds it to requests
// to the hosts that the manifest binds it to, and to no others, wherever a redirect leads.

import handler from 'wasi:http/outgoing-handler@0.2.0';
import types from 'wasi:http/types@0.2.0';

const REDIRECTS = 5;
const PIECE = 256 * 1024;

// Thrown if there is no response. `code` is one of wasi:http's error codes; why the
// host said so is in its log.
export class FetchError extends Error {
  constructor(url, code) {
    super(`${url}: ${code}`);
    this.code = code;
  }
}

// `{ status, headers, text(), json() }`; `headers.get(name)` is null if there is none.
export function fetch(url, { method = 'GET', headers = {}, body } = {}) {
  for (let redirects = 0; ; redirects++) {
    const response = exchange(url, method, headers, body);
    const location = response.headers.get('location');
    const moved = response.status >= 300 && response.status < 400 && location;
    if (!moved || method !== 'GET' || redirects === REDIRECTS) return response;
    url = location.startsWith('/') ? url.match(/^https?:\/\/[^/?#]+/)[0] + location : location;
  }
}

function exchange(url, method, headers, body) {
  const parts = url.match(/^(https?):\/\/([^/?#]+)([^#]*)/i);
  if (!parts) throw new FetchError(url, 'HTTP-request-URI-invalid');
  const [, scheme, authority, path] = parts;
  const entries = Object.entries(headers).map(([name, value]) => [name, encode(String(value))]);
  try {
    const request = new types.OutgoingRequest(types.Fields.fromList(entries));
    request.setMethod(METHODS.has(method) ? { tag: method.toLowerCase() } : { tag: 'other', val: method });
    request.setScheme({ tag: scheme.toUpperCase() });
    request.setAuthority(authority);
    request.setPathWithQuery(path || '/');
    const outgoing = body === undefined ? null : request.body();
    const coming = handler.handle(request, null);
    if (outgoing) send(outgoing, encode(body));
    return receive(coming);
  } catch (error) {
    const { tag } = payload(error);
    throw tag ? new FetchError(url, tag) : error;
  }
}

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']);

function send(outgoing, bytes) {
  const stream = outgoing.write();
  // As much as one write takes.
  for (let at = 0; at < bytes.length; at += 4096) {
    stream.blockingWriteAndFlush(bytes.subarray(at, at + 4096));
  }
  drop(stream);
  types.OutgoingBody.finish(outgoing, null);
}

function receive(coming) {
  const ready = coming.subscribe();
  ready.block();
  drop(ready);
  // Never none after `block`; the outer result fails only if it is taken twice.
  const { tag, val: response } = coming.get().val;
  if (tag === 'err') throw response;
  const fields = response.headers();
  const headers = new Map();
  for (const [name, value] of fields.entries()) {
    const text = decode(value);
    headers.set(name, headers.has(name) ? `${headers.get(name)}, ${text}` : text);
  }
  const status = response.status();
  const body = response.consume();
  const bytes = read(body.stream());
  drop(fields, body, response, coming);
  return {
    status,
    headers: { get: (name) => headers.get(name.toLowerCase()) ?? null },
    text: () => decode(bytes),
    json: () => JSON.parse(decode(bytes)),
  };
}

function read(stream) {
  const pieces = [];
  for (;;) {
    try {
      pieces.push(stream.blockingRead(PIECE));
    } catch (error) {
      if (payload(error).tag !== 'closed') throw error;
      break;
    }
  }
  drop(stream);
  if (pieces.length === 1) return pieces[0];
  const bytes = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

// An error of an imported function holds what the function answered.
function payload(error) {
  return error.payload ?? error;
}

// Children before their parents, which the host insists on.
function drop(...owned) {
  for (const one of owned) one[Symbol.dispose]();
}

// UTF-8 both ways, without TextEncoder and TextDecoder. What is ASCII, which is nearly
// everything, is turned in one go; the rest by what knows percent-encoding.
function decode(bytes) {
  let text = '';
  for (let at = 0; at < bytes.length; at += 8192) {
    text += String.fromCharCode.apply(null, bytes.subarray(at, at + 8192));
  }
  return text.replace(/[\x80-\xff]+/g, (run) => {
    try {
      return decodeURIComponent(escape(run));
    } catch {
      return '\ufffd';
    }
  });
}

function encode(text) {
  const encoded = unescape(encodeURIComponent(text));
  return Uint8Array.from(encoded, (character) => character.charCodeAt(0));
}
