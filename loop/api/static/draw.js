// "Draw": the champion reads what is drawn, and is told whether it was right.

import { Problem, call } from "./api.js";
import { $, h } from "./dom.js";
import { SIDE, normalise } from "./ink.js";
import { keyFor, keyring } from "./keys.js";
import { Outbox } from "./outbox.js";
import { Pad } from "./pad.js";
import { png } from "./png.js";
import { SIDE as CANVAS, raster } from "./raster.js";

const ANYBODY = ["app", "reviewer", "ops"];
const PAUSE_MS = 150; // between two readings while the pen moves

let pixels = null; // the 28×28 of the drawing, null where there is none
let answer = null; // what the champion says of exactly these pixels
let asking = false;
let lastAsked = 0;

const pad = new Pad($("pad"), drawn);
const outbox = new Outbox(told);
const columns = Array.from({ length: 10 }, (_, digit) => column(digit));

function column(digit) {
  const bar = h("span", { class: "bar", "aria-hidden": "true" });
  const share = h("span", { class: "share", "aria-hidden": "true" });
  const button = h("button", { type: "button", id: `was-${digit}`, onclick: () => say(digit) }, share, bar, h("b", {}, String(digit)));
  $("digits").append(h("li", {}, button));
  return { button, bar, share };
}

function drawn(ended) {
  pixels = pad.strokes.length ? normalise(raster(pad.strokes), CANVAS, CANVAS) : null;
  answer = null;
  seen();
  if (pixels === null) draw(null);
  else if (ended || performance.now() - lastAsked > PAUSE_MS) ask();
  $("right").disabled = true;
}

/** One question at a time; where the drawing went on meanwhile, the next asks about what it is now. */
async function ask() {
  if (asking) return;
  asking = true;
  try {
    for (let about = null; pixels !== null && about !== pixels; ) {
      about = pixels;
      lastAsked = performance.now();
      const found = await predicted(about);
      if (about === pixels) answer = found;
      if (pixels !== null) draw(found);
      if (found === null) break;
    }
  } finally {
    asking = false;
  }
}

/** What the champion says of a 28×28, null where it says nothing; the page then tells why. */
async function predicted(about) {
  if (keyFor(ANYBODY) === null) return problem("Enter a key, and the champion reads what you draw.");
  try {
    const found = await call("POST", "/v1/predictions", { roles: ANYBODY, body: png(about, SIDE), headers: { "Content-Type": "image/png" } });
    problem("");
    return found;
  } catch (refused) {
    if (!(refused instanceof Problem)) throw refused;
    return problem(`Not read: ${refused.message}.`);
  }
}

/** What the champion said; null: nothing. */
function draw(found) {
  const shares = found?.probabilities ?? [];
  $("reading").textContent = found ? String(found.label) : "?";
  $("sure").textContent = found ? `${(100 * shares[found.label]).toFixed(1)} % sure` : pixels === null ? "Draw a digit." : "Not read yet.";
  $("version").textContent = found ? `version ${found.version}` : "";
  columns.forEach(({ button, bar, share }, digit) => {
    const said = found ? `${(100 * shares[digit]).toFixed(shares[digit] < 0.0995 ? 1 : 0)} %` : "";
    bar.style.setProperty("--share", String(shares[digit] ?? 0));
    share.textContent = shares[digit] >= 0.005 ? said : "";
    button.classList.toggle("best", found?.label === digit);
    button.setAttribute("aria-label", `It was a ${digit}${found ? `; the model gives it ${said}` : ""}`);
    button.disabled = pixels === null;
  });
  $("right").disabled = answer === null;
  $("right").textContent = answer ? `Right, a ${answer.label}` : "Right";
}

/** The 28×28 as it goes to the model. */
function seen() {
  const to = $("seen").getContext("2d");
  const picture = to.createImageData(SIDE, SIDE);
  for (let i = 0; i < SIDE * SIDE; i++) picture.data.set([255, 255, 255, pixels?.[i] ?? 0], 4 * i);
  to.putImageData(picture, 0, 0);
  $("undo").disabled = $("clear").disabled = pad.strokes.length === 0;
}

/** Keep what the visitor says of the drawing, and begin another. */
function say(label) {
  const agreed = answer?.label === label;
  try {
    outbox.add({
      image: btoa(String.fromCharCode(...png(pixels, SIDE))),
      label,
      kind: agreed ? "confirmation" : "correction",
      captured_at: new Date().toISOString(),
      ...(answer && { predicted: answer.label, confidence: Math.min(1, answer.probabilities[answer.label]), version: answer.version }),
    });
  } catch (full) {
    if (!(full instanceof Problem)) throw full;
    return problem(full.message);
  }
  $("kept").textContent = agreed ? `Thank you: it was a ${label}.` : `Thank you: it was a ${label}, and the next model can learn it.`;
  pad.clear();
  $("pad").focus();
}

function told({ waiting, sent, said }) {
  const counts = [waiting ? `${waiting} waiting` : "", sent ? `${sent} on disk` : ""].filter(Boolean).join(" · ");
  $("outbox").textContent = counts || "Nothing sent yet";
  $("trouble").textContent = said ? `${waiting ? "Waiting" : "Last"}: ${said}.` : "";
  $("erase").hidden = waiting + sent === 0;
}

async function erase() {
  $("erasing").close();
  try {
    const { uploads, taught } = await outbox.erase();
    const learned = taught.length ? ` Version ${taught.join(", ")} had learned from it; later ones have not.` : "";
    $("kept").textContent = `Erased: ${uploads} ${uploads === 1 ? "digit" : "digits"}.${learned}`;
  } catch (refused) {
    if (!(refused instanceof Problem)) throw refused;
    problem(`Not erased on the server: ${refused.message}. Try again.`);
  }
}

function problem(said) {
  $("problem").textContent = said;
  return null;
}

$("right").addEventListener("click", () => say(answer.label));
$("undo").addEventListener("click", () => pad.undo());
$("clear").addEventListener("click", () => pad.clear());
$("erase").addEventListener("click", () => $("erasing").showModal());
$("erase-no").addEventListener("click", () => $("erasing").close());
$("erase-yes").addEventListener("click", erase);
keyring(() => { problem(""); outbox.flush(); if (pixels !== null) ask(); });
seen();
draw(null);
outbox.flush();
