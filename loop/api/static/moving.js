// What operators change in production. Each change needs a reason, which the ledger keeps.

import { Problem, call, json } from "./api.js";
import { h } from "./dom.js";

const OPS = ["ops"];

/** Ask for a reason and make a version champion; `done` gets the outcome as a sentence. */
export function promote(version, done) {
  const passed = version.verdict === "passed";
  const override = passed ? null : h("input", { type: "checkbox", id: "override" });
  const body = override && [
    h("p", {}, `Its verdict is ${version.verdict}, not passed. Promoting it is an override, which the ledger records.`),
    h("label", { class: "check" }, override, "Promote although the verdict is not passed"),
  ];
  confirm(`Promote version ${version.number}`, "Promote", body, done, (reason) =>
    move("/v1/promotions", { version: version.number, reason, override: override?.checked ?? false }));
}

/** Go back to the previous champion, or to one of `earlier` (numbers, the latest first). */
export function rollBack(family, earlier, done) {
  const to = h("select", { id: "to" }, h("option", { value: "" }, "the previous champion"), earlier.map((number) => h("option", { value: number }, `version ${number}`)));
  confirm(`Roll back ${family}`, "Roll back", [h("label", { for: "to" }, "To"), to], done, (reason) =>
    move("/v1/rollbacks", { family, reason, to: to.value === "" ? null : Number(to.value) }));
}

/** Request a night; a scheduler starts it at once. */
export async function askForNight(family, done) {
  try {
    const slot = await call("POST", "/v1/runs", { roles: OPS, ...json({ family }) });
    done(`A night of ${slot.family} is due; a scheduler starts it.`);
  } catch (refused) {
    if (!(refused instanceof Problem)) throw refused;
    done(`No night: ${refused.message}.`);
  }
}

async function move(path, change) {
  const made = await call("POST", path, { roles: OPS, ...json(change) });
  return `Champion of ${made.family}: ${made.before ?? "–"} → ${made.after}. Feed ${made.feed}.`;
}

/** A dialog that asks for a reason. If the server refuses, it stays open and shows why. */
function confirm(title, verb, body, done, act) {
  const reason = h("textarea", { id: "reason", maxlength: "1000" });
  const refusal = h("p", { class: "bad", role: "alert" });
  const go = h("button", { class: "main" }, verb);
  const submit = async (event) => {
    event.preventDefault();
    refusal.textContent = reason.value.trim() ? "" : "Expected a reason; the ledger keeps it.";
    if (refusal.textContent) return reason.focus();
    go.disabled = true;
    try {
      done(await act(reason.value.trim()));
      dialog.close();
    } catch (refused) {
      if (!(refused instanceof Problem)) throw refused;
      refusal.textContent = refused.message;
    } finally {
      go.disabled = false;
    }
  };
  const dialog = h("dialog", { "aria-labelledby": "confirm-title", onclose: () => dialog.remove() },
    h("h2", { id: "confirm-title" }, title),
    h("form", { onsubmit: submit }, body,
      h("label", { for: "reason" }, "Reason"), reason, refusal,
      h("div", { class: "buttons" }, h("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, "Cancel"), go)));
  document.body.append(dialog);
  dialog.showModal();
  reason.focus();
}
