// The visitor's keys: one per role, stored in this tab only and never in a URL.

import { $, h } from "./dom.js";

const PLACE = "loop.keys";
const FORM = /^loop_(app|reviewer|ops)_[A-Za-z0-9_-]{43}$/;
const PERMISSIONS = { app: "reads digits and sends your drawings", reviewer: "answers questions, shows production", ops: "answers questions, shows and changes production" };

const stored = () => JSON.parse(sessionStorage.getItem(PLACE) ?? "{}");

/** The first available key of these roles, or null. */
export function keyFor(roles) {
  const keys = stored();
  return keys[roles.find((role) => role in keys)] ?? null;
}

/** The header's button and its dialog; calls `changed` after a key was added or removed. */
export function keyring(changed) {
  const ring = new Ring(changed);
  $("key-button").addEventListener("click", () => ring.open());
  $("insecure").hidden = isSecureContext;
}

class Ring {
  #changed;
  #list = h("ul", { class: "lines" });
  #input = h("input", { id: "key", type: "password", autocomplete: "off", spellcheck: "false", placeholder: "loop_app_…", "aria-describedby": "key-said" });
  #refusal = h("p", { id: "key-said", class: "bad", role: "alert" });
  #dialog = h("dialog", { id: "keys", "aria-labelledby": "keys-title" },
    h("h2", { id: "keys-title" }, "Keys"),
    h("p", {}, "A key decides what you may do here. It is stored in this tab only. Create one with ", h("code", {}, "loop keys create NAME"), "."),
    this.#list,
    h("form", { onsubmit: (event) => this.#add(event) },
      h("label", { for: "key" }, "Key"), this.#input, this.#refusal,
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

  #add(event) {
    event.preventDefault();
    const match = FORM.exec(this.#input.value.trim());
    this.#refusal.textContent = match ? "" : "Expected loop_app_…, loop_reviewer_… or loop_ops_… followed by 43 characters.";
    if (match === null) return;
    this.#input.value = "";
    this.#store({ ...stored(), [match[1]]: match[0] });
    this.#dialog.close();
  }

  #remove(role) {
    const { [role]: _, ...rest } = stored();
    this.#store(rest);
  }

  #store(keys) {
    sessionStorage.setItem(PLACE, JSON.stringify(keys));
    this.#draw();
    this.#changed();
  }

  #draw() {
    const roles = Object.keys(stored());
    $("key-button").textContent = roles.length ? `Key: ${roles.join(", ")}` : "Enter a key";
    this.#list.replaceChildren(...roles.map((role) =>
      h("li", {}, h("span", {}, h("b", {}, role), `: ${PERMISSIONS[role]}`), h("button", { type: "button", class: "quiet", onclick: () => this.#remove(role) }, "Remove"))));
  }
}
