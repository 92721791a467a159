// One-time passwords: a socket that takes the code and says whether it was right, then
// which account was connected.

const CODE_TAKES = 180_000;
const ATTEMPTS = 5;

class CodeCheck {
  #url;
  #texts;
  #socket;
  #waiting;

  constructor(base, challenge, texts) {
    const url = new URL(`${base}/auth/otp/${encodeURIComponent(challenge)}`, location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.searchParams.set("rolloutUserAgent", `rollout-link@${VERSION}`);
    this.#url = url;
    this.#texts = texts;
  }

  // Answers the credential, or throws what is wrong; a wrong code may be followed by
  // another one.
  async enter(code) {
    const result = new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject, frame: JSON.stringify({ event: "ENTER_OTP", otp: code }) };
    });
    const lost = setTimeout(() => this.#fail("timeout", this.#texts.slow), CODE_TAKES);
    if (this.#socket?.readyState === WebSocket.OPEN) this.#deliver();
    else this.#connect(1);
    try {
      return await result;
    } finally {
      clearTimeout(lost);
      this.#waiting = undefined;
    }
  }

  close() {
    this.#waiting = undefined;
    this.#socket?.close();
  }

  // A code is sent once: the host goes on with it if the connection breaks, and tells
  // the next connection what came of it.
  #deliver() {
    const { frame } = this.#waiting;
    if (!frame) return;
    this.#socket.send(frame);
    this.#waiting.frame = undefined;
  }

  #connect(attempt) {
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    socket.onopen = () => this.#waiting && this.#deliver();
    socket.onmessage = (message) => this.#hear(message.data);
    socket.onclose = () => {
      if (!this.#waiting || this.#socket !== socket) return;
      if (attempt >= ATTEMPTS) this.#fail("network", this.#texts.codeLost);
      else setTimeout(() => this.#waiting && this.#connect(attempt + 1), 300 * attempt);
    };
  }

  #hear(text) {
    let told;
    try {
      told = JSON.parse(text);
    } catch {
      return;
    }
    if (told.event !== "OTP_RESULT" && told.event !== "CREDENTIAL") return;
    if (!told.ok) {
      const errors = (told.errors ?? []).filter((entry) => entry?.message);
      this.#fail(errors[0]?.code ?? "code", errors[0]?.message ?? this.#texts.unavailable, { errors });
    } else if (told.event === "CREDENTIAL") {
      this.#waiting?.resolve(told.credential);
    }
  }

  #fail(code, message, more) {
    this.#waiting?.reject(new LinkError(code, message, more));
  }
}
