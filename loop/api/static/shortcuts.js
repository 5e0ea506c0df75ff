// The keys of the review page: which key gives which answer. A reviewer can change them; this browser keeps them.

import { h } from "./dom.js";

const PLACE = "loop.review.keys";

/** Every action: its name, its word for the API (null: no answer), its text, and its key. `flag` asks which flag. */
export const ACTIONS = [
  ...Array.from({ length: 10 }, (_, digit) => ({ name: String(digit), word: { label: digit }, text: String(digit), key: String(digit) })),
  { name: "skip", word: { skip: true }, text: "Skip", key: "s" },
  { name: "unreadable", word: { flag: "unreadable" }, text: "Unreadable", key: "u" },
  { name: "not-a-digit", word: { flag: "not-a-digit" }, text: "Not a digit", key: "n" },
  { name: "two-digits", word: { flag: "two-digits" }, text: "Two digits", key: "t" },
  { name: "undo", word: null, text: "Undo", key: "z" },
  { name: "flag", word: null, text: "Choose a flag", key: "f" },
];

export const action = (name) => ACTIONS.find((each) => each.name === name);

const FORBIDDEN = new Set(["tab", "escape", "enter", " ", "shift", "control", "alt", "meta", "dead", "unidentified", "process"]);

/** A key as it is compared and shown: `S` and `s` are one key. */
const plain = (key) => key.toLowerCase();

/** The key of each action by name; a damaged store gives the first ones again. */
export function bindings() {
  const first = Object.fromEntries(ACTIONS.map(({ name, key }) => [name, key]));
  let changed = {};
  try {
    changed = JSON.parse(localStorage.getItem(PLACE) ?? "{}") ?? {};
  } catch {
    localStorage.removeItem(PLACE);
  }
  for (const name of Object.keys(first)) if (typeof changed[name] === "string" && changed[name] !== "") first[name] = changed[name];
  return distinct(first);
}

/** Two actions never have one key: an action that is newer than the reviewer's own keys gets one that is free. */
function distinct(keys) {
  const names = Object.keys(keys);
  for (const name of names) {
    if (names.every((each) => each === name || keys[each] !== keys[name] || names.indexOf(each) > names.indexOf(name))) continue;
    keys[name] = ACTIONS.map(({ key }) => key).find((key) => !Object.values(keys).includes(key));
  }
  return keys;
}

/** The action of a key event, or null. */
export function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.isComposing) return null;
  const key = plain(event.key);
  const found = Object.entries(bindings()).find(([, bound]) => bound === key);
  return found ? action(found[0]) : null;
}

/** The dialog in which keys are changed; calls `changed` after each change. */
export class Shortcuts {
  #changed;
  #waiting = null; // the action that gets the next key
  #said = h("p", { role: "status", class: "small" });
  #rows = h("div", { class: "bindings" });
  #dialog = h("dialog", { id: "shortcuts-dialog", "aria-labelledby": "shortcuts-title" },
    h("h2", { id: "shortcuts-title", tabindex: "-1" }, "Keys"),
    h("p", {}, "Choose an answer, then press its new key. This browser keeps it."),
    this.#said, this.#rows,
    h("div", { class: "buttons" },
      h("button", { type: "button", class: "quiet", onclick: () => this.#reset() }, "First keys again"),
      h("button", { type: "button", class: "main", onclick: () => this.#dialog.close() }, "Done")));

  constructor(changed) {
    this.#changed = changed;
    document.body.append(this.#dialog);
    this.#dialog.addEventListener("keydown", (event) => this.#take(event));
    this.#dialog.addEventListener("close", () => (this.#waiting = null));
    this.#draw();
  }

  open() {
    this.#said.textContent = "";
    this.#draw();
    this.#dialog.showModal();
    this.#dialog.querySelector("h2").focus();
  }

  #take(event) {
    if (this.#waiting === null || event.key === "Tab") return;
    event.preventDefault();
    const key = plain(event.key);
    const name = this.#waiting;
    if (key === "escape") this.#waiting = null;
    else if (FORBIDDEN.has(key)) return void (this.#said.textContent = "Expected a letter, a digit or a function key; press another.");
    else this.#bind(name, key);
    this.#draw();
    this.#rows.querySelector(`[data-name="${name}"]`)?.focus();
  }

  #bind(name, key) {
    const now = bindings();
    const other = Object.keys(now).find((each) => now[each] === key && each !== name);
    if (other) now[other] = now[name]; // the two change places, so that each action keeps a key
    now[name] = key;
    localStorage.setItem(PLACE, JSON.stringify(now));
    this.#waiting = null;
    this.#said.textContent = other ? `${action(other).text} now has the key ${shown(now[other])}.` : "";
    this.#changed();
  }

  #reset() {
    localStorage.removeItem(PLACE);
    this.#waiting = null;
    this.#draw();
    this.#changed();
  }

  #draw() {
    const now = bindings();
    this.#rows.replaceChildren(...ACTIONS.flatMap(({ name, text }) => [
      h("span", {}, text),
      h("button", { type: "button", "data-name": name, "aria-label": `Key of ${text}: ${shown(now[name])}`, onclick: () => this.#wait(name) },
        this.#waiting === name ? "press a key" : shown(now[name]))]));
  }

  #wait(name) {
    this.#waiting = name;
    this.#draw();
    this.#rows.querySelector(`[data-name="${name}"]`).focus();
  }
}

export const shown = (key) => (key.length === 1 ? key.toUpperCase() : key);
