// Talking to the host.

// What went wrong, in words for the person (`message`, `messages`) and for the page
// (`code`, `status`; 0 is no answer).
class LinkError extends Error {
  constructor(code, message, { status = 0, errors = [] } = {}) {
    super(message);
    this.name = "LinkError";
    this.code = code;
    this.status = status;
    // Entries with `message` and mostly `pointer`, the place in the body that was sent.
    this.errors = errors;
  }

  get messages() {
    return this.errors.length ? this.errors.map((entry) => entry.message) : [this.message];
  }
}

const READING_TAKES = 30_000;
// An app may take its time to prove a key.
const CHANGING_TAKES = 120_000;

class Api {
  #options;
  #token;

  // `options()` answers the current { base, token, texts }.
  constructor(options) {
    this.#options = options;
  }

  get base() {
    return this.#options().base;
  }

  // Asks for a new token with the next call.
  forgetToken() {
    this.#token = undefined;
  }

  async call(method, path, body) {
    const used = this.#current();
    const response = await this.#send(method, path, body, used);
    if (response.status !== 401 || typeof this.#options().token !== "function") return this.#read(response);
    // A refused call has done nothing: it may be made again, with a token that is newer
    // than this call's. Another call may have asked for it already.
    if (this.#token === used) this.forgetToken();
    return this.#read(await this.#send(method, path, body, this.#current()));
  }

  #current() {
    const { token } = this.#options();
    if (typeof token !== "function") return token;
    this.#token ??= Promise.resolve().then(token);
    return this.#token;
  }

  async #send(method, path, body, asked) {
    const { base, texts } = this.#options();
    let token;
    try {
      token = await asked;
    } catch (cause) {
      this.forgetToken();
      throw Object.assign(new LinkError("token", texts.expired), { cause });
    }
    const headers = { authorization: `Bearer ${token}`, "x-rollout-user-agent": `rollout-link@${VERSION}` };
    if (body) headers["content-type"] = "application/json";
    const takes = method === "GET" ? READING_TAKES : CHANGING_TAKES;
    try {
      return await fetch(base + path, {
        method,
        headers,
        body: body && JSON.stringify(body),
        credentials: "omit",
        cache: "no-store",
        signal: AbortSignal.timeout(takes),
      });
    } catch (cause) {
      const [code, message] = cause.name === "TimeoutError" ? ["timeout", texts.slow] : ["network", texts.network];
      throw Object.assign(new LinkError(code, message), { cause });
    }
  }

  async #read(response) {
    const { texts } = this.#options();
    const { status } = response;
    if (status === 204) return undefined;
    let body;
    try {
      body = await response.json();
    } catch {
      // Not the host, but something on the way to it.
      throw new LinkError("unavailable", texts.unavailable, { status });
    }
    if (response.ok) return body;
    const errors = Array.isArray(body?.errors) ? body.errors.filter((entry) => entry?.message) : [];
    const code = errors[0]?.code ?? "unavailable";
    if (status === 401) throw new LinkError(code, texts.expired, { status });
    if (status === 429) {
      const seconds = Number(response.headers.get("retry-after")) || 5;
      throw new LinkError(code, filled(texts.busy, { seconds }), { status });
    }
    if (status >= 500 && status !== 502 && status !== 504) throw new LinkError(code, texts.unavailable, { status });
    const fallback = status === 403 ? texts.forbidden : texts.unavailable;
    throw new LinkError(code, errors[0]?.message ?? fallback, { status, errors });
  }
}
