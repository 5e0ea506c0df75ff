// What operators do to production; each asks first, and the ledger keeps the reason.

import { Problem, call, json } from "./api.js";
import { h } from "./dom.js";

const OPS = ["ops"];

/** Make a version champion, after a reason. `done` is told in a sentence what came of it. */
export function promote(version, done) {
  const passed = version.verdict === "passed";
  const override = passed ? null : h("input", { type: "checkbox", id: "override" });
  const body = override && [
    h("p", {}, `Its verdict is ${version.verdict}: it becomes champion only if you say so, and the ledger keeps that you did.`),
    h("label", { class: "check" }, override, "Although its verdict is not passed"),
  ];
  asked(`Promote version ${version.number}`, "Promote", body, done, (reason) =>
    move("/v1/promotions", { version: version.number, reason, override: override?.checked ?? false }));
}

/** Go back to the champion before, or to one of `earlier` (numbers, the latest first). */
export function rollBack(family, earlier, done) {
  const to = h("select", { id: "to" }, h("option", { value: "" }, "the champion before"), earlier.map((number) => h("option", { value: number }, `version ${number}`)));
  asked(`Roll back ${family}`, "Roll back", [h("label", { for: "to" }, "To"), to], done, (reason) =>
    move("/v1/rollbacks", { family, reason, to: to.value === "" ? null : Number(to.value) }));
}

/** A night that a scheduler takes at once. */
export async function askForNight(family, done) {
  try {
    const slot = await call("POST", "/v1/runs", { roles: OPS, ...json({ family }) });
    done(`A night of ${slot.family} is due; a scheduler takes it.`);
  } catch (refused) {
    if (!(refused instanceof Problem)) throw refused;
    done(`No night: ${refused.message}.`);
  }
}

async function move(path, wanted) {
  const made = await call("POST", path, { roles: OPS, ...json(wanted) });
  return `Champion of ${made.family}: ${made.before ?? "–"} → ${made.after}. Feed ${made.feed}.`;
}

/** A dialog that asks for a reason and stays open, saying why, where the server refuses. */
function asked(title, verb, body, done, act) {
  const reason = h("textarea", { id: "reason", maxlength: "1000" });
  const said = h("p", { class: "bad", role: "alert" });
  const go = h("button", { class: "main" }, verb);
  const submit = async (event) => {
    event.preventDefault();
    said.textContent = reason.value.trim() ? "" : "Expected a reason; the ledger keeps it.";
    if (said.textContent) return reason.focus();
    go.disabled = true;
    try {
      done(await act(reason.value.trim()));
      dialog.close();
    } catch (refused) {
      if (!(refused instanceof Problem)) throw refused;
      said.textContent = refused.message;
    } finally {
      go.disabled = false;
    }
  };
  const dialog = h("dialog", { "aria-labelledby": "confirm-title", onclose: () => dialog.remove() },
    h("h2", { id: "confirm-title" }, title),
    h("form", { onsubmit: submit }, body,
      h("label", { for: "reason" }, "Why?"), reason, said,
      h("div", { class: "buttons" }, h("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, "Leave it"), go)));
  document.body.append(dialog);
  dialog.showModal();
  reason.focus();
}
