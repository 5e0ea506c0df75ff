// The visitor's keys: one for each role, in this tab only, and in no URL.

import { $, h } from "./dom.js";

const PLACE = "loop.keys";
const FORM = /^loop_(app|reviewer|ops)_[A-Za-z0-9_-]{43}$/;
const MAY = { app: "reads digits, and sends what you draw", reviewer: "looks at production", ops: "looks at production, and moves it" };

const held = () => JSON.parse(sessionStorage.getItem(PLACE) ?? "{}");

/** The key of the first of these roles that is held, or null. */
export function keyFor(roles) {
  const keys = held();
  return keys[roles.find((role) => role in keys)] ?? null;
}

/** The header's button and its dialog; `changed` is called after a key came or went. */
export function keyring(changed) {
  const ring = new Ring(changed);
  $("key-button").addEventListener("click", () => ring.open());
  $("insecure").hidden = isSecureContext;
}

class Ring {
  #changed;
  #list = h("ul", { class: "lines" });
  #input = h("input", { id: "key", type: "password", autocomplete: "off", spellcheck: "false", placeholder: "loop_app_…", "aria-describedby": "key-said" });
  #said = h("p", { id: "key-said", class: "bad", role: "alert" });
  #dialog = h("dialog", { id: "keys", "aria-labelledby": "keys-title" },
    h("h2", { id: "keys-title" }, "Keys"),
    h("p", {}, "A key says what you may do here. It stays in this tab and is forgotten with it. ", h("code", {}, "loop keys create NAME"), " makes one."),
    this.#list,
    h("form", { onsubmit: (event) => this.#take(event) },
      h("label", { for: "key" }, "Key"), this.#input, this.#said,
      h("div", { class: "buttons" },
        h("button", { type: "button", class: "quiet", onclick: () => this.#dialog.close() }, "Close"),
        h("button", { class: "main" }, "Use this key"))));

  constructor(changed) {
    this.#changed = changed;
    document.body.append(this.#dialog);
    this.#draw();
  }

  open() {
    this.#dialog.showModal();
    this.#input.focus();
  }

  #take(event) {
    event.preventDefault();
    const found = FORM.exec(this.#input.value.trim());
    this.#said.textContent = found ? "" : "Expected loop_app_…, loop_reviewer_… or loop_ops_… with 43 characters after it.";
    if (found === null) return;
    this.#input.value = "";
    this.#put({ ...held(), [found[1]]: found[0] });
    this.#dialog.close();
  }

  #forget(role) {
    const { [role]: _, ...rest } = held();
    this.#put(rest);
  }

  #put(keys) {
    sessionStorage.setItem(PLACE, JSON.stringify(keys));
    this.#draw();
    this.#changed();
  }

  #draw() {
    const roles = Object.keys(held());
    $("key-button").textContent = roles.length ? `Key: ${roles.join(", ")}` : "Enter a key";
    this.#list.replaceChildren(...roles.map((role) =>
      h("li", {}, h("span", {}, h("b", {}, role), `: ${MAY[role]}`), h("button", { type: "button", class: "quiet", onclick: () => this.#forget(role) }, "Forget"))));
  }
}
