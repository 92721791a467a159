// Signing in at the app, in a window of its own that ends on a page of the host, which
// says how it went.

const WINDOW = { width: 800, height: 800 };
const LOOKS_EVERY = 300;
// The host's page says how it went right before it closes.
const LAST_WORDS = 800;

// One attempt. To be made while a click is handled: the browser lets a window open then.
class SignIn {
  #opened;
  #requestId;
  #listener;
  #timer;
  // Called with `{ credential }`, `{ error }` or `{ closed: true }`. A window that seems
  // closed may still answer: a page on the way can cut it off from this one.
  onresult = () => {};
  // The browser let no window open.
  blocked;

  constructor(texts) {
    const left = Math.max(0, Math.round(screenX + (outerWidth - WINDOW.width) / 2));
    const top = Math.max(0, Math.round(screenY + (outerHeight - WINDOW.height) / 2));
    this.#opened = window.open("", "", `popup,width=${WINDOW.width},height=${WINDOW.height},left=${left},top=${top}`);
    this.blocked = !this.#opened || this.#opened.closed;
    try {
      this.#opened.document.title = texts.opening;
      this.#opened.document.body.textContent = texts.opening;
    } catch {
      // Only to have something to look at.
    }
  }

  // Shows the app's page, `url` as the host answered it.
  go({ url, requestId }) {
    this.#requestId = requestId;
    this.#listener = (event) => {
      const told = event.data?._rollout;
      if (told?.type !== "credential-added" || told.requestId !== requestId) return;
      this.end();
      this.onresult(told.ok ? { credential: told.credential } : { error: String(told.error ?? "") });
    };
    window.addEventListener("message", this.#listener);
    if (this.blocked) return;
    // Somebody may have closed it meanwhile, which is noticed below.
    if (!this.#opened.closed) this.#opened.location.replace(url);
    this.#timer = setInterval(() => {
      if (!this.#opened.closed) return;
      clearInterval(this.#timer);
      this.#timer = setTimeout(() => this.onresult({ closed: true }), LAST_WORDS);
    }, LOOKS_EVERY);
  }

  // Stops listening, and closes the window if it is open.
  end() {
    window.removeEventListener("message", this.#listener);
    clearInterval(this.#timer);
    clearTimeout(this.#timer);
    this.#opened?.close();
  }
}

// An address that a window may be sent to.
function isPage(text) {
  return ["https:", "http:"].includes(parsed(text)?.protocol);
}
