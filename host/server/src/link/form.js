// The form of what a person enters, made of a plan's `userInputsSchema`.

let numbered = 0;

class Inputs {
  #texts;
  #fields;
  node;

  // `overrides` has { initialValue, disabled, visible } by the input's key.
  constructor(schema, overrides, texts) {
    this.#texts = texts;
    this.#fields = schema.map((input) => this.#field(input, overrides?.[input.key] ?? {}));
    this.node = el("div", { class: "fields", part: "fields" }, this.#fields.map((field) => field.node));
  }

  // What was entered, by key; undefined if something is missing, which is then said.
  read() {
    const values = {};
    let first;
    for (const field of this.#fields) {
      const entered = field.read();
      const missing = entered.length === 0 && !field.optional;
      field.say(missing ? filled(this.#texts.required, { label: field.label }) : "");
      if (missing) first ??= field;
      else if (entered.length) values[field.key] = field.list ? entered : entered[0];
    }
    first?.focus();
    return first ? undefined : values;
  }

  // Says what the host has against single fields; answers the other complaints.
  complain(errors) {
    const rest = [];
    let first;
    for (const field of this.#fields) field.say("");
    for (const error of errors) {
      const [, , key] = (error.pointer ?? "").split("/");
      const field = this.#fields.find((one) => one.key === key?.replaceAll("~1", "/").replaceAll("~0", "~"));
      if (field?.visible) {
        field.say(error.message);
        first ??= field;
      } else rest.push(error.message);
    }
    first?.focus();
    return rest;
  }

  focus() {
    this.#fields.find((field) => field.visible)?.focus();
  }

  #field(input, { initialValue, disabled, visible = true }) {
    const list = input.type.endsWith("[]");
    const label = input.label || input.key;
    const id = `input-${++numbered}`;
    const optional = Boolean(input.optional);
    const shown = optional ? filled(this.#texts.optional, { label }) : label;
    const given = [initialValue ?? []].flat().map(String);
    const help = input.infoHTML && el("div", { class: "help", part: "help", id: `${id}-help`, dir: "auto" }, rich(input.infoHTML));
    const complaint = el("p", { class: "complaint", part: "complaint", id: `${id}-complaint`, dir: "auto", hidden: true });
    const described = `${help ? `${id}-help ` : ""}${id}-complaint`;
    const controls = [];
    const control = (value = "") => {
      const common = { part: "input", "aria-describedby": described, disabled, dir: "auto" };
      common.id = controls.length ? undefined : id;
      if (list) common["aria-labelledby"] = `${id}-label`;
      if (!optional) common["aria-required"] = "true";
      const made = input.type === "dropdown" ? this.#dropdown(input, common) : line(input, common);
      made.value = value;
      controls.push(made);
      return made;
    };

    const node = list ? el("div", { role: "group", "aria-labelledby": `${id}-label` }) : el("div");
    node.className = "field";
    node.setAttribute("part", "field");
    node.hidden = !visible;
    node.append(el("label", { for: id, id: `${id}-label`, part: "label", dir: "auto" }, shown));
    if (list) {
      const rows = el("div", { class: "rows" });
      const row = (value) => {
        const made = control(value);
        const drop = () => {
          if (controls.length === 1) made.value = "";
          else {
            controls.splice(controls.indexOf(made), 1);
            line.remove();
          }
          controls.at(-1).focus();
        };
        const line = el("div", { class: "row" }, made, removal(filled(this.#texts.remove, { label }), disabled, drop));
        rows.append(line);
        return made;
      };
      (given.length ? given : [""]).forEach(row);
      const more = el("button", { type: "button", class: "quiet", part: "button add", disabled, onclick: () => row("").focus() });
      more.append(input.addButtonLabel || this.#texts.add);
      node.append(rows, more);
    } else node.append(control(given[0]));
    if (help) node.append(help);
    node.append(complaint);

    return {
      key: input.key, label, list, optional, visible, node,
      read: () => controls.map((made) => made.value.trim()).filter(Boolean),
      focus: () => controls[0].focus(),
      say(message) {
        complaint.textContent = message;
        complaint.hidden = !message;
        for (const made of controls) made.toggleAttribute("data-wrong", Boolean(message));
        for (const made of controls) made.setAttribute("aria-invalid", String(Boolean(message)));
      },
    };
  }

  #dropdown(input, common) {
    const options = (input.options ?? []).map((option) =>
      typeof option === "string" ? { value: option, label: option } : option,
    );
    const first = el("option", { value: "" }, input.placeholder || this.#texts.choose);
    return el("select", common, first, options.map(({ value, label }) => el("option", { value }, label)));
  }
}

function line(input, common) {
  const type = input.type.startsWith("secret") ? "password" : "text";
  const quiet = { autocomplete: "off", autocapitalize: "off", spellcheck: "false" };
  return el("input", { type, placeholder: input.placeholder, ...quiet, ...common });
}

function removal(label, disabled, onclick) {
  return el("button", { type: "button", class: "quiet remove", part: "button remove", "aria-label": label, disabled, onclick }, "×");
}
