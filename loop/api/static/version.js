// One version: its verdicts and its lineage.

import { Problem, call } from "./api.js";
import { h, percent, when } from "./dom.js";

const MARKS = { passed: "✓", failed: "✗", inconclusive: "?" };

/** Show a version in a dialog; `notify` gets the reason if that fails. */
export async function about(number, notify) {
  try {
    open(await call("GET", `/v1/versions/${number}`, { roles: ["ops", "reviewer"] }));
  } catch (refused) {
    if (!(refused instanceof Problem)) throw refused;
    notify(`Version ${number}: ${refused.message}.`);
  }
}

function open(version) {
  const dialog = h("dialog", { "aria-labelledby": "about-title", onclose: () => dialog.remove() },
    h("h2", { id: "about-title", tabindex: "-1", autofocus: true }, `Version ${version.number} of ${version.family}: ${version.verdict}`),
    version.verdicts.map(verdict),
    h("dl", { class: "lines" }, lines(version).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
    h("div", { class: "buttons" }, h("button", { type: "button", onclick: () => dialog.close() }, "Close")));
  document.body.append(dialog);
  dialog.showModal();
}

function verdict({ question, outcome, reasons }) {
  return h("section", {},
    h("h3", {}, `${question}: `, h("span", { class: outcome }, outcome)),
    h("ul", { class: "reasons" }, reasons.map((reason) => h("li", {}, mark(reason.outcome), h("span", {}, reason.text)))));
}

const mark = (outcome) => h("b", { class: outcome, role: "img", "aria-label": outcome }, MARKS[outcome] ?? outcome);

function lines(version) {
  return [
    ...Object.entries(version.accuracy).map(([slice, share]) => [slice, percent(share)]),
    ["judged against", version.judged_against === null ? "no champion" : `version ${version.judged_against}`],
    ["snapshot", version.snapshot ?? "none: this is the base"],
    ["seed", String(version.seed)],
    ["run", String(version.run)],
    ["registered", when(version.registered_at)],
    ["sha256", version.digest],
  ];
}
