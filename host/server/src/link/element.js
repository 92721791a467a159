// <rollout-link>: the apps, the accounts that are connected, and forms to connect more.

// Of fewer apps each is found by looking.
const SEARCHED_FROM = 13;
// Another window or tab may have changed the accounts: looked at when one comes back.
const STALE_AFTER = 2_000;

class RolloutLinkElement extends HTMLElement {
  static observedAttributes = ["token", ...OPTIONS.map((option) => option.attribute)];

  static {
    for (const { property } of OPTIONS) {
      Object.defineProperty(this.prototype, property, {
        get() {
          return this.#option(property);
        },
        set(value) {
          this.#set.set(property, value);
          this.#changed(property);
        },
        enumerable: true,
        configurable: true,
      });
    }
  }

  #set = new Map();
  #token;
  #api;
  #sheet;
  #view;
  #status;
  #connectors;
  #credentials = [];
  #loaded = 0;
  #loading = 0;
  // The app whose page is shown; undefined: the list.
  #app;
  // Ends the sign-in or the code check that is under way.
  #attempt;
  // Looks whether a sign-in ended well that could not say so.
  #recheck;
  #scheduled;

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [sheet()];
    this.#view = el("div", { class: "view" });
    this.#status = el("p", { class: "unseen", role: "status" });
    root.append(el("div", { class: "root", part: "root" }, this.#view, this.#status));
    this.#api = new Api(() => ({ base: this.#base(), token: this.token, texts: this.#texts }));
    // What was set before this script had come is a plain property: it is set once more.
    for (const name of ["token", ...OPTIONS.map((option) => option.property)]) {
      if (!Object.hasOwn(this, name)) continue;
      const value = this[name];
      delete this[name];
      this[name] = value;
    }
  }

  // A JWT, or a function that answers one or a promise of one, and is asked again
  // when the last one has expired.
  get token() {
    return this.#token ?? this.getAttribute("token") ?? undefined;
  }

  set token(value) {
    this.#token = value ?? undefined;
    this.#api.forgetToken();
    // A new function is a new way to the same: nothing has to be read again.
    if (typeof value !== "function" || !this.#loaded) this.refresh();
  }

  connectedCallback() {
    addEventListener("pageshow", this.#returned);
    document.addEventListener("visibilitychange", this.#returned);
    if (!this.#loaded) this.refresh();
  }

  disconnectedCallback() {
    removeEventListener("pageshow", this.#returned);
    document.removeEventListener("visibilitychange", this.#returned);
    this.#stop();
  }

  attributeChangedCallback(name, before, now) {
    if (before === now) return;
    if (name === "token") {
      if (this.#token !== undefined) return;
      this.#api.forgetToken();
      this.refresh();
    } else this.#changed(OPTIONS.find((option) => option.attribute === name).property);
  }

  // Reads apps and accounts again. What is being filled in stays. Asked several times in
  // a row, as while a page is built, it reads once.
  refresh() {
    this.#scheduled ??= Promise.resolve().then(() => {
      this.#scheduled = undefined;
      return this.#load();
    });
    return this.#scheduled;
  }

  async #load() {
    if (!this.isConnected || !this.token) {
      if (this.isConnected && !this.#loaded) this.#drawLoading();
      return;
    }
    const turn = ++this.#loading;
    if (!this.#loaded) this.#drawLoading();
    try {
      const read = (path) => this.#api.call("GET", path);
      const [connectors, credentials] = await Promise.all([read("/connectors"), read("/credentials?includeProfile=true")]);
      if (turn !== this.#loading) return;
      this.#connectors = connectors;
      this.#credentials = credentials;
      const first = !this.#loaded;
      this.#loaded = performance.now();
      if (first || !this.#busy) this.#draw();
      if (first) performance.measure("rollout-link", "rollout-link-start");
    } catch (error) {
      if (turn !== this.#loading) return;
      this.#tell(error);
      if (!this.#loaded) this.#drawFailure(error);
    }
  }

  // An option has another value.
  #changed(property) {
    const option = OPTIONS.find((one) => one.property === property);
    if (option.reloads) {
      this.#loaded = 0;
      this.refresh();
    } else if (option.redraws && this.#loaded && !this.#busy) this.#draw();
  }

  #option(property) {
    const option = OPTIONS.find((one) => one.property === property);
    const value = this.#set.get(property) ?? this.getAttribute(option.attribute) ?? undefined;
    try {
      return option.read(value);
    } catch (cause) {
      console.error(`rollout-link: ${option.attribute} is not as it should be: ${cause.message}`);
      return option.read(undefined);
    }
  }

  get #texts() {
    return this.#option("texts");
  }

  #base() {
    return this.#option("apiBaseUrl") ?? (ORIGIN ? `${ORIGIN}/api` : "/api");
  }

  // Something is entered or under way on the page that is shown.
  get #busy() {
    return Boolean(this.#attempt) || this.#view.querySelector("[data-touched], [data-asks], [data-busy]") !== null;
  }

  #returned = () => {
    if (document.visibilityState !== "visible" || !this.#loaded) return;
    if (this.#recheck) this.#recheck();
    else if (performance.now() - this.#loaded > STALE_AFTER) this.refresh();
  };

  #stop() {
    this.#attempt?.();
    this.#attempt = undefined;
    this.#recheck = undefined;
  }

  #tell(error) {
    const { code = "unknown", message, status = 0 } = error;
    this.dispatchEvent(new CustomEvent("error", { detail: { code, message, status, error } }));
  }

  #announce(text) {
    this.#status.textContent = text;
  }

  // The connectors to show, as the page asks for them.
  #shown() {
    const categories = this.#option("categories");
    const apps = this.#option("apps")?.map(folded);
    const all = Object.entries(this.#connectors).map(([key, connector]) => ({ key, ...connector }));
    const within = all.filter(({ entities }) => !categories || Object.keys(entities).some((one) => categories.includes(one)));
    if (!apps) return within;
    return apps.map((app) => within.find(({ key }) => folded(key) === app)).filter(Boolean);
  }

  // The only app that the page asks for, if it is one.
  #single() {
    const apps = this.#option("apps");
    return apps?.length === 1 ? apps[0] : undefined;
  }

  #of(key) {
    return this.#credentials.filter((credential) => folded(credential.appKey) === folded(key));
  }

  #show(view, focus) {
    this.#view.replaceChildren(...view);
    if (focus) this.#view.querySelector(focus)?.focus();
  }

  #draw(focus) {
    const connectors = this.#shown();
    const single = this.#single();
    const app = single ?? this.#app;
    const connector = app && connectors.find(({ key }) => folded(key) === folded(app));
    if (connector) return this.#drawApp(connector, { back: !single, focus });
    this.#app = undefined;
    if (single) {
      const message = filled(this.#texts.unknownApp, { app: single });
      this.#tell(new LinkError("unknown_connector", message));
      return this.#show([el("p", { class: "alert", part: "alert", role: "alert" }, message)]);
    }
    this.#drawList(connectors, focus);
  }

  #drawLoading() {
    const boxes = Array.from({ length: 6 }, () => el("div", { class: "ghost", part: "skeleton" }));
    const words = el("p", { class: "unseen" }, this.#texts.loading);
    this.#show([el("div", { class: "grid", "aria-busy": "true" }, words, boxes)]);
  }

  #drawFailure(error) {
    const again = el("button", { type: "button", class: "main", part: "button retry" }, this.#texts.retry);
    again.addEventListener("click", () => this.refresh());
    this.#show([alertOf(error.messages ?? [error.message]), el("div", { class: "actions" }, again)]);
  }

  #drawList(connectors, focus) {
    const texts = this.#texts;
    const title = el("h2", { part: "heading", tabindex: "-1" }, texts.title);
    if (!connectors.length) return this.#show([title, el("p", { part: "empty" }, texts.none)], focus);
    const items = connectors.map((connector) => this.#item(connector));
    const grid = el("ul", { class: "grid", part: "grid", role: "list" }, items);
    if (items.length < SEARCHED_FROM) return this.#show([title, grid], focus);
    const search = el("input", { type: "search", part: "input search", "aria-label": texts.search, placeholder: texts.search });
    search.addEventListener("input", () => {
      const wanted = search.value.trim().toLowerCase();
      let count = 0;
      connectors.forEach(({ key, name }, place) => {
        const found = name.toLowerCase().includes(wanted) || key.includes(wanted);
        items[place].hidden = !found;
        if (found) count += 1;
      });
      this.#announce(filled(texts.found, { count }));
    });
    this.#show([title, search, grid], focus);
  }

  #item(connector) {
    const count = this.#of(connector.key).length;
    const name = el("span", { class: "name", part: "name", dir: "auto" }, connector.name);
    const badge = count ? el("span", { class: "badge", part: "badge" }, this.#texts.connected) : undefined;
    const open = () => {
      this.#app = connector.key;
      this.#draw("h2");
    };
    const attributes = { type: "button", class: "app", part: count ? "app connected" : "app", "data-app": connector.key };
    return el("li", {}, el("button", { ...attributes, onclick: open }, this.#icon(connector), el("span", { class: "words" }, name, badge)));
  }

  #icon({ key, name }) {
    const letters = el("span", { class: "icon", part: "icon", "aria-hidden": "true" }, initials(name));
    const image = el("img", { class: "icon", part: "icon", alt: "", loading: "lazy", decoding: "async" });
    image.addEventListener("error", () => image.replaceWith(letters));
    image.src = `${this.#base()}/connectors/${encodeURIComponent(key)}/icon`;
    return image;
  }

  #drawApp(connector, { back, focus, adding = false }) {
    this.#stop();
    const texts = this.#texts;
    const mine = this.#of(connector.key);
    const leave = () => {
      this.#stop();
      this.#app = undefined;
      this.#draw(`[data-app="${CSS.escape(connector.key)}"]`);
    };
    const arrow = back && el("button", { type: "button", class: "quiet back", part: "button back", "aria-label": texts.back, onclick: leave });
    const title = el("h2", { part: "heading", tabindex: "-1", dir: "auto" }, mine.length ? connector.name : filled(texts.connectTo, { app: connector.name }));
    const view = [el("header", { part: "header" }, arrow || undefined, this.#icon(connector), title)];
    if (mine.length) {
      const rows = mine.map((credential) => this.#account(connector, credential));
      view.push(el("ul", { class: "accounts", part: "accounts", role: "list", "aria-label": texts.accounts }, rows));
    }
    if (mine.length && !adding) {
      const add = () => this.#drawApp(connector, { back, focus: "form input, form select, form button", adding: true });
      const more = el("button", { type: "button", part: "button another", class: "another", onclick: add }, texts.another);
      view.push(el("div", { class: "actions" }, more));
    } else {
      const cancel = adding ? () => this.#drawApp(connector, { back, focus: ".another" }) : undefined;
      view.push(this.#ways(connector, cancel));
    }
    this.#show(view, focus);
  }

  // The form of the plan that the page names, or of the first; with several, a choice.
  #ways(connector, cancel) {
    const texts = this.#texts;
    const named = this.#option("plan");
    const plan = named[folded(connector.key)] ?? named[SINGLE];
    const keys = Object.keys(connector.authByPlan);
    const { name: app } = connector;
    if (plan !== undefined && !keys.includes(plan)) {
      const message = filled(texts.unknownPlan, { app, plan });
      this.#tell(new LinkError("unknown_plan", message));
      return alertOf([message]);
    }
    const place = el("div", { class: "way" });
    const choose = (key) => {
      this.#stop();
      place.replaceChildren(this.#form(connector, key, cancel));
    };
    choose(plan ?? keys[0]);
    if (plan !== undefined || keys.length === 1) return place;
    const choices = keys.map((key, index) => {
      const input = el("input", { type: "radio", name: "plan", value: key, checked: index === 0, onchange: () => choose(key) });
      return el("label", { part: "way", dir: "auto" }, input, connector.authByPlan[key].name ?? key);
    });
    const legend = el("legend", { class: "unseen" }, texts.ways);
    return el("div", {}, el("fieldset", { class: "ways", part: "ways" }, legend, choices), place);
  }

  #form(connector, plan, cancel) {
    const texts = this.#texts;
    const { type, userInputsSchema } = connector.authByPlan[plan];
    if (!["apiToken", "oauth2", "oauth1"].includes(type)) return alertOf([filled(texts.unknownWay, { app: connector.name })]);
    const overrides = this.#option("fieldOverrides")[folded(connector.key)];
    const inputs = new Inputs(userInputsSchema, overrides, texts);
    const words = type === "apiToken" ? texts.connect : filled(texts.signIn, { app: connector.name });
    const send = el("button", { class: "main", part: "button primary" }, words);
    const alert = el("div", { class: "alert", part: "alert", role: "alert", dir: "auto", hidden: true });
    const undo = cancel && el("button", { type: "button", class: "quiet", part: "button cancel", onclick: cancel }, texts.cancel);
    const form = el("form", { part: "form", novalidate: true }, inputs.node, alert, el("div", { class: "actions" }, send, undo));

    const work = new Work(send, words, alert);
    form.addEventListener("input", () => form.toggleAttribute("data-touched", true));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (work.busy) return;
      const userInputs = inputs.read();
      if (!userInputs) return;
      if (type === "apiToken") this.#connect(connector, plan, userInputs, { work, inputs, form });
      else this.#signIn(connector, plan, userInputs, { work, inputs });
    });
    return form;
  }

  async #connect(connector, plan, userInputs, { work, inputs, form }) {
    const texts = this.#texts;
    const body = { appKey: connector.key, plan, userInputs, entitiesToSync: this.#option("entitiesToSync") };
    work.begin(texts.connecting);
    try {
      const told = await this.#api.call("POST", "/credentials", body);
      work.end();
      // Whoever went elsewhere meanwhile is not fetched back.
      const left = !form.isConnected;
      if (told.action === "OTP_REQUEST" && !left) this.#askCode(connector, told, form);
      else if (told.id) await this.#added(connector, told, left);
    } catch (error) {
      this.#refused(error, work, inputs);
    }
  }

  #refused(error, work, inputs) {
    this.#tell(error);
    work.end();
    work.say(inputs.complain(error.errors?.length ? error.errors : [{ message: error.message }]));
  }

  async #signIn(connector, plan, customParams, { work, inputs }) {
    const texts = this.#texts;
    const { name: app } = connector;
    this.#stop();
    const attempt = new SignIn(texts);
    this.#attempt = () => attempt.end();
    work.begin(texts.signingIn);
    const before = new Set(this.#of(connector.key).map(({ id }) => id));
    const finish = () => {
      this.#stop();
      work.end();
    };
    // Whether there is an account that was not there before.
    const recheck = async () => {
      await this.#reread();
      const made = this.#of(connector.key).find(({ id }) => !before.has(id));
      if (!made || !this.#attempt) return false;
      finish();
      await this.#added(connector, made);
      return true;
    };
    attempt.onresult = async ({ credential, error, closed }) => {
      if (closed) {
        work.end();
        this.#recheck = recheck;
        if (await recheck()) return;
        return work.fail(this.#complaint("closed", filled(texts.closed, { app })));
      }
      finish();
      if (credential) return this.#added(connector, credential);
      work.fail(this.#complaint("not_connected", error || filled(texts.notConnected, { app })));
    };
    try {
      const body = { appKey: connector.key, plan, customParams, entitiesToSync: this.#option("entitiesToSync") };
      const begun = await this.#api.call("POST", "/oauth/authorize-url", body);
      if (!isPage(begun.url)) throw new LinkError("invalid_url", texts.unavailable);
      attempt.go(begun);
      if (!attempt.blocked) return;
      // A link that somebody clicks is never blocked.
      this.#complaint("popup_blocked", texts.blocked);
      const link = el("a", { href: begun.url, target: "_blank", rel: "opener", part: "link" }, texts.openWindow);
      work.end();
      work.say([texts.blocked, link]);
      this.#recheck = recheck;
    } catch (error) {
      finish();
      this.#refused(error, work, inputs);
    }
  }

  #complaint(code, message) {
    this.#tell(new LinkError(code, message));
    return message;
  }

  // The page that asks for a code, in place of the form. Going back leaves the form as it was.
  #askCode(connector, { titleHTML, messageHTML, otpChallengeId }, form) {
    const texts = this.#texts;
    const check = new CodeCheck(this.#base(), otpChallengeId, texts);
    this.#attempt = () => check.close();
    const schema = [{ key: "otp", type: "textfield", label: texts.code }];
    const inputs = new Inputs(schema, undefined, texts);
    const field = inputs.node.querySelector("input");
    field.setAttribute("autocomplete", "one-time-code");
    const send = el("button", { class: "main", part: "button primary" }, texts.sendCode);
    const alert = el("div", { class: "alert", part: "alert", role: "alert", dir: "auto", hidden: true });
    const leave = () => {
      this.#stop();
      asking.replaceWith(form);
      form.querySelector("input, select, button")?.focus();
    };
    const undo = el("button", { type: "button", class: "quiet", part: "button cancel", onclick: leave }, texts.cancel);
    const title = el("h3", { part: "code-title", tabindex: "-1", dir: "auto" }, rich(titleHTML ?? ""));
    const words = el("div", { class: "help", part: "code-message", dir: "auto" }, rich(messageHTML ?? ""));
    const asking = el("form", { part: "form", novalidate: true }, title, words, inputs.node, alert, el("div", { class: "actions" }, send, undo));
    const work = new Work(send, texts.sendCode, alert);
    asking.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (work.busy) return;
      const entered = inputs.read();
      if (!entered) return;
      work.begin(texts.checkingCode);
      try {
        const credential = await check.enter(entered.otp);
        work.end();
        this.#stop();
        await this.#added(connector, credential);
      } catch (error) {
        this.#refused(error, work, inputs);
        inputs.focus();
      }
    });
    form.replaceWith(asking);
    title.focus();
    this.#announce(title.textContent);
  }

  async #added(connector, { id }, left = false) {
    await this.#reread();
    if (!this.#credentials.some((credential) => credential.id === id)) {
      // It is there, though it could not be read back.
      this.#credentials.push({ id, appKey: connector.key, label: connector.name });
    }
    const { label } = this.#credentials.find((credential) => credential.id === id);
    if (!left) {
      this.#view.replaceChildren();
      this.#draw("h2");
    } else if (!this.#busy) this.#draw();
    this.#announce(filled(this.#texts.added, { label: label || connector.name }));
    this.#dispatch("credential-added", { id, appKey: connector.key });
  }

  async #reread() {
    try {
      this.#credentials = await this.#api.call("GET", "/credentials?includeProfile=true");
      this.#loaded = performance.now();
    } catch (error) {
      this.#tell(error);
    }
  }

  #dispatch(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail, bubbles: true, composed: true }));
  }

  #account(connector, credential) {
    const texts = this.#texts;
    const label = credential.label || connector.name;
    const name = el("span", { class: "label", part: "account-label", dir: "auto" }, label);
    const broken = credential.status === "broken" ? el("span", { class: "broken", part: "broken" }, texts.broken) : undefined;
    const actions = el("span", { class: "actions" });
    const row = el("li", { class: "account", part: "account" }, el("span", { class: "who" }, name, broken), actions);
    const ask = el("button", { type: "button", class: "quiet", part: "button delete", "aria-label": filled(texts.deleteOf, { label }) });
    ask.append(texts.delete);
    const calm = () => {
      row.removeAttribute("data-asks");
      row.querySelector(".question")?.remove();
      actions.hidden = false;
      ask.focus();
    };
    ask.addEventListener("click", () => {
      row.setAttribute("data-asks", "");
      actions.hidden = true;
      row.append(this.#question(connector, credential, label, calm));
      row.querySelector("[data-safe]").focus();
    });
    actions.append(ask);
    return row;
  }

  #question(connector, credential, label, calm) {
    const texts = this.#texts;
    const id = `question-${++numbered}`;
    const words = el("p", { id, dir: "auto" }, filled(texts.confirm, { label }));
    const sure = el("button", { type: "button", class: "danger", part: "button confirm" }, texts.delete);
    const not = el("button", { type: "button", class: "quiet", part: "button cancel", "data-safe": true, onclick: calm }, texts.cancel);
    const alert = el("div", { class: "alert", part: "alert", role: "alert", hidden: true });
    const work = new Work(sure, texts.delete, alert);
    sure.addEventListener("click", async () => {
      if (work.busy) return;
      work.begin(texts.deleting);
      try {
        await this.#api.call("DELETE", `/credentials?credentialId=${encodeURIComponent(credential.id)}`);
      } catch (error) {
        // Deleted in another tab is deleted.
        if (error.status !== 404) {
          this.#tell(error);
          work.end();
          return work.say(error.messages ?? [error.message]);
        }
      }
      this.#credentials = this.#credentials.filter(({ id }) => id !== credential.id);
      this.#view.replaceChildren();
      this.#draw("h2");
      this.#announce(filled(texts.deleted, { label }));
      this.#dispatch("credential-deleted", { id: credential.id, appKey: connector.key });
    });
    const box = el("div", { class: "question", part: "question", role: "group", "aria-labelledby": id }, words, alert);
    box.append(el("div", { class: "actions" }, sure, not));
    box.addEventListener("keydown", (event) => event.key === "Escape" && !work.busy && calm());
    return box;
  }
}

// A button that does something once at a time, and a place for what goes wrong.
class Work {
  #button;
  #words;
  #alert;
  busy = false;

  constructor(button, words, alert) {
    this.#button = button;
    this.#words = words;
    this.#alert = alert;
  }

  begin(words) {
    this.busy = true;
    this.#alert.hidden = true;
    this.#mark(words);
  }

  end() {
    this.busy = false;
    this.#mark(this.#words);
  }

  // The button stays where the focus is: it says that it is at work, and is not taken away.
  #mark(words) {
    this.#button.textContent = words;
    this.#button.toggleAttribute("data-busy", this.busy);
    this.#button.setAttribute("aria-disabled", String(this.busy));
  }

  // Texts, or nodes among them; none hides the place.
  say(messages) {
    this.#alert.replaceChildren(...messages.map((message) => el("p", {}, message)));
    this.#alert.hidden = messages.length === 0;
  }

  fail(message) {
    this.end();
    this.say([message]);
  }
}

function alertOf(messages) {
  const lines = messages.map((message) => el("p", {}, message));
  return el("div", { class: "alert", part: "alert", role: "alert", dir: "auto" }, lines);
}

let made;
// One for all elements. A page's policy on styles does not reach it.
function sheet() {
  if (!made) {
    made = new CSSStyleSheet();
    made.replaceSync(STYLE);
  }
  return made;
}

// A page may have the script twice.
if (!customElements.get("rollout-link")) customElements.define("rollout-link", RolloutLinkElement);
