// The flags of the review page as a choice: its key, then the key of one flag.

import { h } from "./dom.js";
import { ACTIONS, action, bindings, pressed, shown } from "./shortcuts.js";

const FLAGS = ACTIONS.filter(({ word }) => word?.flag !== undefined);

/** A dialog with the three flags; calls `chosen` with the action of one. Escape, or its own key again, chooses none. */
export class Flags {
  #chosen;
  #buttons = h("div", { class: "flags" });
  #dialog = h("dialog", { id: "flags-dialog", "aria-labelledby": "flags-title" },
    h("h2", { id: "flags-title", tabindex: "-1" }, "Why is it no digit?"), this.#buttons,
    h("div", { class: "buttons" }, h("button", { type: "button", class: "quiet", onclick: () => this.#dialog.close() }, "Cancel")));

  constructor(chosen) {
    this.#chosen = chosen;
    document.body.append(this.#dialog);
    this.#dialog.addEventListener("keydown", (event) => this.#take(event));
  }

  open() {
    const keys = bindings();
    this.#buttons.replaceChildren(...FLAGS.map((each) =>
      h("button", { type: "button", "data-name": each.name, "aria-keyshortcuts": keys[each.name], onclick: () => this.#choose(each) },
        each.text, " ", h("kbd", { "aria-hidden": "true" }, shown(keys[each.name])))));
    this.#dialog.showModal();
    this.#dialog.querySelector("h2").focus();
  }

  #take(event) {
    const found = pressed(event);
    if (found === null) return;
    event.preventDefault();
    event.stopPropagation(); // the page would take the key for the next digit, once the dialog is closed
    if (found === action("flag")) this.#dialog.close();
    else if (FLAGS.includes(found)) this.#choose(found);
  }

  #choose(flag) {
    this.#dialog.close();
    this.#chosen(flag);
  }
}
