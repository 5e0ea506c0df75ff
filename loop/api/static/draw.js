// "Draw": the champion reads the drawing, and the visitor confirms or corrects it.

import { Problem, call } from "./api.js";
import { base64 } from "./client/bytes.js";
import { picture } from "./client/drawing.js";
import { LoopError } from "./client/errors.js";
import { SIDE, normalise } from "./client/picture.js";
import { png } from "./client/png.js";
import { $, h } from "./dom.js";
import { keyFor, keyring } from "./keys.js";
import { Outbox } from "./outbox.js";
import { PEN, Pad } from "./pad.js";

const ANY_ROLE = ["app", "reviewer", "ops"];
const PAUSE_MS = 150; // between two readings while the pen moves

let pixels = null; // the 28×28 of the drawing, null where there is none
let answer = null; // the prediction for exactly these pixels
let asking = false;
let lastAsked = 0;
let frame = 0;

const pad = new Pad($("pad"), drawn);
const outbox = new Outbox(showOutbox);
const columns = Array.from({ length: 10 }, (_, digit) => column(digit));

function column(digit) {
  const bar = h("span", { class: "bar", "aria-hidden": "true" });
  const share = h("span", { class: "share", "aria-hidden": "true" });
  const button = h("button", { type: "button", id: `was-${digit}`, onclick: () => send(digit) }, share, bar, h("b", {}, String(digit)));
  $("digits").append(h("li", {}, button));
  return { button, bar, share };
}

/** The pen moves more often than a screen shows. */
function drawn(ended) {
  cancelAnimationFrame(frame);
  if (ended) see(true);
  else frame = requestAnimationFrame(() => see(false));
}

function see(ended) {
  pixels = seen(pad.strokes);
  answer = null;
  if (pixels !== null) $("kept").textContent = "";
  showPixels();
  if (pixels === null) draw(null);
  else if (ended || performance.now() - lastAsked > PAUSE_MS) ask();
  $("right").disabled = true;
}

/** The 28×28 of the strokes, as the server makes it; null where there is none. */
function seen(strokes) {
  try {
    return strokes.length ? normalise(picture(strokes, 2 * PEN)) : null;
  } catch (refused) {
    if (!(refused instanceof LoopError)) throw refused;
    return null;
  }
}

/** One request at a time. If the drawing changed meanwhile, ask again. */
async function ask() {
  if (asking) return;
  asking = true;
  try {
    for (let sent = null; pixels !== null && sent !== pixels; ) {
      sent = pixels;
      lastAsked = performance.now();
      const prediction = await predict(sent);
      if (sent === pixels) answer = prediction;
      if (pixels !== null) draw(prediction);
      if (prediction === null) break;
    }
  } finally {
    asking = false;
  }
}

/** The champion's prediction for a 28×28; null if there is none, and the page then shows the reason. */
async function predict(sent) {
  if (keyFor(ANY_ROLE) === null) return problem("Enter a key, so that the champion can read your drawing.");
  try {
    const prediction = await call("POST", "/v1/predictions", { roles: ANY_ROLE, body: png(sent, SIDE), headers: { "Content-Type": "image/png" } });
    problem("");
    return prediction;
  } catch (refused) {
    if (!(refused instanceof Problem)) throw refused;
    return problem(`Not read: ${refused.message}.`);
  }
}

/** Show a prediction, or that there is none (null). */
function draw(prediction) {
  const shares = prediction?.probabilities ?? [];
  $("reading").textContent = prediction ? String(prediction.label) : "?";
  $("sure").textContent = prediction ? `${(100 * shares[prediction.label]).toFixed(1)} % sure` : pixels === null ? "Draw a digit." : "Not read yet.";
  $("version").textContent = prediction ? `version ${prediction.version}` : "";
  columns.forEach(({ button, bar, share }, digit) => {
    const percent = prediction ? `${(100 * shares[digit]).toFixed(shares[digit] < 0.0995 ? 1 : 0)} %` : "";
    bar.style.setProperty("--share", String(shares[digit] ?? 0));
    share.textContent = shares[digit] >= 0.005 ? percent : "";
    button.classList.toggle("best", prediction?.label === digit);
    button.setAttribute("aria-label", `I drew a ${digit}${prediction ? `; the model gives it ${percent}` : ""}`);
    button.disabled = pixels === null;
  });
  $("ask").hidden = pixels === null && $("kept").textContent !== "";
  $("right").disabled = answer === null;
  $("right").textContent = answer ? `Right, a ${answer.label}` : "Right";
}

/** Show the 28×28 that goes to the model. */
function showPixels() {
  const to = $("seen").getContext("2d");
  const picture = to.createImageData(SIDE, SIDE);
  for (let i = 0; i < SIDE * SIDE; i++) picture.data.set([255, 255, 255, pixels?.[i] ?? 0], 4 * i);
  to.putImageData(picture, 0, 0);
  $("undo").disabled = $("clear").disabled = pad.strokes.length === 0;
}

/** Store the visitor's label of the drawing, and clear the pad. */
async function send(label) {
  const agreed = answer?.label === label;
  try {
    await outbox.add({
      image: base64(png(pixels, SIDE)),
      label,
      kind: agreed ? "confirmation" : "correction",
      captured_at: new Date().toISOString(),
      ...(answer && { predicted: answer.label, confidence: Math.min(1, answer.probabilities[answer.label]), version: answer.version }),
    });
  } catch (full) {
    if (!(full instanceof LoopError)) throw full;
    return problem("This browser has no space left for this page; send the waiting digits first.");
  }
  $("kept").textContent = agreed ? `Thank you: a ${label}.` : `Thank you: a ${label}. The next model can learn from it.`;
  pad.clear();
  $("pad").focus();
}

function showOutbox({ waiting, sent, trouble }) {
  const counts = [waiting ? `${waiting} waiting` : "", sent ? `${sent} on disk` : ""].filter(Boolean).join(" · ");
  $("outbox").textContent = counts || "Nothing sent yet";
  $("trouble").textContent = trouble ? `${waiting ? "Waiting" : "Last"}: ${trouble}.` : "";
  $("erase").hidden = waiting + sent === 0;
}

async function erase() {
  $("erasing").close();
  try {
    const { uploads, considered } = await outbox.erase();
    const learned = considered.length ? " Models made before may have learned from it; later ones will not." : "";
    $("kept").textContent = `Erased: ${uploads} ${uploads === 1 ? "digit" : "digits"}.${learned}`;
  } catch (refused) {
    if (refused instanceof Problem) return problem(`Not erased: ${refused.message}.`);
    if (!(refused instanceof LoopError)) throw refused;
    problem(`Not erased on the server yet: ${refused.detail}. It is erased there before anything else is sent.`);
  }
}

function problem(text) {
  $("problem").textContent = text;
  return null;
}

$("right").addEventListener("click", () => send(answer.label));
$("undo").addEventListener("click", () => pad.undo());
$("clear").addEventListener("click", () => pad.clear());
$("erase").addEventListener("click", () => $("erasing").showModal());
$("erase-no").addEventListener("click", () => $("erasing").close());
$("erase-yes").addEventListener("click", erase);
keyring(() => { problem(""); outbox.flush(); if (pixels !== null) ask(); });
showPixels();
draw(null);
outbox.flush();
