// "Review": which digit is this? One at a time or as a grid, by keyboard or touch.

import { Problem, call } from "./api.js";
import { $, h } from "./dom.js";
import { Flags } from "./flags.js";
import { keyFor, keyring } from "./keys.js";
import { Questions, ROLES } from "./questions.js";
import { ACTIONS, Shortcuts, action, bindings, pressed, shown } from "./shortcuts.js";

const STATUS_MS = 15_000;
const MODE = "loop.review.mode";
const LAST = 6; // answers that stay in view
const PACE_OVER = 20; // answers
const narrow = matchMedia("(max-width: 520px)");

let many = localStorage.getItem(MODE) === "grid";
let page = []; // what is shown: { question, word }; word null: not answered yet
let chosen = 0; // index of the tile that the next answer is for
let since = performance.now(); // when it was shown
let progress = null; // the last answer to /v1/review/status
let notice = "";
let times = []; // of the last answers, for the pace

const questions = new Questions(ahead(), draw);
const shortcuts = new Shortcuts(pad);
let flagged = null; // the question that a flag is being chosen for
const flags = new Flags(flag);

function ahead() {
  return many ? 24 : 12;
}

const side = () => (!many ? 1 : narrow.matches ? 9 : 12);

/** Show what waits: the rest of the page, or the next one. */
function draw() {
  const gone = page.some(({ question, word }) => word === null && !questions.waiting.includes(question));
  if (gone) page = page.filter(({ question, word }) => word !== null || questions.waiting.includes(question));
  if (page.every(({ word }) => word !== null)) turn();
  if (many && page.length < side()) { // the page began while fewer had arrived
    const there = new Set(page.map(({ question }) => question));
    page.push(...questions.waiting.filter((each) => !there.has(each)).slice(0, side() - page.length).map((question) => ({ question, word: null })));
  }
  if (page[chosen] === undefined || page[chosen].word !== null) choose();
  tiles();
  last();
  words();
}

function turn() {
  page = questions.waiting.slice(0, side()).map((question) => ({ question, word: null }));
  chosen = 0;
}

function choose() {
  const next = page.findIndex(({ word }, index) => word === null && index > chosen);
  chosen = next >= 0 ? next : Math.max(0, page.findIndex(({ word }) => word === null));
}

function tiles() {
  const list = $("digits-shown");
  list.classList.toggle("many", many);
  const signature = JSON.stringify([many, chosen, page.map(({ question, word }) => [question.id, word])]);
  if (list.dataset.shown === signature) return;
  list.dataset.shown = signature;
  list.replaceChildren(...page.map(({ question, word }, index) => h("li", {}, many ? tile(question, word, index) : single(question))));
  list.dataset.question = page[chosen]?.question.id ?? "";
}

const single = ({ picture }) => h("div", { class: "tile", role: "img", "aria-label": "The digit to read" }, picture);

function tile({ picture }, word, index) {
  const name = `Digit ${index + 1} of ${page.length}, ${word === null ? "not answered" : text(word)}`;
  const attributes = { type: "button", class: word === null ? "tile" : "tile done", "aria-label": name, "aria-current": index === chosen && "true", disabled: word !== null };
  return h("button", { ...attributes, onclick: () => select(index) }, picture, word && h("b", {}, text(word)));
}

function select(index) {
  chosen = index;
  since = performance.now();
  tiles();
}

/** The answers of this visit that stay in view, with the model's guess. */
function last() {
  const shownNow = questions.given.slice(-LAST).reverse();
  const signature = JSON.stringify(shownNow.map(({ question, state }) => [question.id, state]));
  if ($("last").dataset.shown === signature) return;
  $("last").dataset.shown = signature;
  $("last").replaceChildren(...shownNow.map(({ question, word, state, said }) => {
    const guess = said?.predicted ?? null;
    const differs = guess !== null && word.label !== undefined && word.label !== guess;
    return h("li", { class: `${state}${differs ? " differs" : ""}` },
      h("img", { src: `data:image/png;base64,${question.image}`, alt: "" }), h("b", {}, brief(word)),
      h("br"), state === "stored" ? (guess === null ? "stored" : `model ${guess}`) : state === "sending" ? "sending" : "not stored");
  }));
}

const text = (word) => ACTIONS.find(({ word: each }) => JSON.stringify(each) === JSON.stringify(word)).text;
const brief = (word) => (word.label === undefined ? text(word).split(" ")[0] : String(word.label));

function words() {
  const key = keyFor(ROLES);
  const working = key !== null && page.length > 0;
  $("work").hidden = !working && questions.given.length === 0;
  $("digits-shown").hidden = !working;
  for (const button of document.querySelectorAll("#answers button, #others button")) button.disabled = key === null || (!working && button.id !== "do-undo");
  $("problem").textContent = problem(key);
  $("empty").hidden = working || key === null || !questions.empty;
  $("empty").textContent = nothing();
  $("said").textContent = notice || latest();
  failures();
  standing();
}

function problem(key) {
  if (key === null) return keyFor(["app"])
    ? "Your key has the role app. To answer questions you need one with the role reviewer: an operator creates it with `loop keys create NAME --role reviewer`."
    : "Enter a key of role reviewer or ops to answer questions.";
  if (questions.trouble) return questions.trouble;
  return questions.problem === null ? "" : `No questions now: ${questions.problem.message}.`;
}

function nothing() {
  const open = progress?.open ?? 0;
  if (open === 0) return "Nothing to do: no question is open. New ones are asked after each night. This page looks again by itself.";
  return `Nothing for you now: ${open} open ${open === 1 ? "question is" : "questions are"} with other reviewers, or you skipped or answered them. This page looks again by itself.`;
}

function latest() {
  const entry = questions.given.at(-1);
  if (entry === undefined || entry.state === "refused") return "";
  const { word, said } = entry;
  if (said === null) return `${text(word)} …`;
  const guess = said.predicted === null ? "" : ` · the model read ${said.predicted}${said.runner_up === null ? "" : `, then ${said.runner_up}`}`;
  return `${text(word)}${guess}${said.status === "answered" ? " · agreed" : said.status === "disputed" ? " · disputed" : ""}`;
}

function failures() {
  const list = $("failed").querySelector("ul");
  $("failed").hidden = questions.failed.length === 0;
  if (list.childElementCount === questions.failed.length) return;
  list.replaceChildren(...questions.failed.map((each) => h("li", {},
    each.question.image && h("img", { src: `data:image/png;base64,${each.question.image}`, alt: "" }),
    h("span", {}, each.word ? h("b", {}, `${text(each.word)}: `) : h("b", {}, "Undo: "), each.reason),
    h("button", { type: "button", class: "quiet", onclick: () => dismiss(each) }, "Dismiss"))));
}

function dismiss(entry) {
  questions.failed = questions.failed.filter((each) => each !== entry);
  draw();
}

/** Progress, pace and agreement in one line. */
function standing() {
  if (progress === null || keyFor(ROLES) === null) return void $("progress").replaceChildren();
  const { me, open, answered_today: today } = progress;
  const parts = [[today, "today"], [pace(me), "a minute"], [open, "open"]];
  if (me.compared) parts.push([`${Math.round((100 * me.agreed) / me.compared)} %`, "agreement"]);
  if (me.gold) parts.push([`${me.gold_right} of ${me.gold}`, "test digits right"]);
  if (typeof progress.team?.alpha === "number") parts.push([progress.team.alpha.toFixed(2), "alpha of the team"]);
  const line = JSON.stringify(parts);
  if ($("progress").dataset.shown === line) return;
  $("progress").dataset.shown = line;
  $("progress").replaceChildren(...parts.filter(([value]) => value !== null).flatMap(([value, name], index) => [index ? " · " : "", h("b", {}, String(value)), ` ${name}`]));
}

function pace(me) {
  if (times.length >= 5) return Math.round((60_000 * (times.length - 1)) / Math.max(1, times.at(-1) - times[0]));
  return me.seconds ? Math.round(60 / me.seconds) : null;
}

/** The buttons, with their keys. */
function pad() {
  const keys = bindings();
  const button = ({ name, text: label }) => h("button", { type: "button", id: `do-${name}`, "aria-keyshortcuts": keys[name], onclick: () => act(action(name)) },
    label, h("kbd", { class: keys[name] === label ? "same" : null, "aria-hidden": "true" }, shown(keys[name])));
  $("answers").replaceChildren(...ACTIONS.slice(0, 10).map(button));
  $("others").replaceChildren(...ACTIONS.slice(10).filter(({ name }) => name !== "flag").map(button)); // it has a button for each flag
  $("flag-key").textContent = shown(keys.flag);
}

function act({ name, word }) {
  notice = "";
  if (name === "undo") return undo();
  const at = page[chosen];
  if (keyFor(ROLES) === null || at === undefined || at.word !== null) return;
  if (questions.expired) {
    notice = "You were away for too long: others may have these digits now. Here are the next ones.";
    return void questions.ask();
  }
  if (name === "flag") {
    flagged = at.question;
    return flags.open();
  }
  const now = performance.now();
  at.word = word;
  times = [...times.filter((time) => now - time < 120_000), now].slice(-PACE_OVER);
  if (progress && !word.skip) progress.answered_today += 1;
  questions.answer(at.question, word, Math.min(86_400, (now - since) / 1_000));
  since = now;
}

/** A flag was chosen: it is the answer if its digit is still the one that is shown. */
function flag(each) {
  if (page[chosen]?.question === flagged) return act(each);
  notice = "Another digit is shown now; flag it again if it is none.";
  words();
}

function undo() {
  const question = questions.undo();
  if (question === null) return void undoEarlier();
  const at = page.findIndex((each) => each.question.id === question.id);
  if (at >= 0) {
    page[at] = { question, word: null };
    chosen = at;
  } else {
    page = [{ question, word: null }, ...(many ? page : [])];
    chosen = 0;
  }
  notice = "Taken back; answer again.";
  times.pop();
  since = performance.now();
  $("digits-shown").dataset.shown = "";
  draw();
  setTimeout(stand, 1_000);
}

/** Take back an answer of an earlier visit: the server knows which was the last. */
async function undoEarlier() {
  await stand();
  const number = progress?.last_question ?? null;
  notice = number === null ? "There is no answer to take back." : "Your last answer is taken back; its digit is asked again.";
  if (number !== null) questions.undoEarlier(number);
  words();
}

async function stand() {
  if (keyFor(ROLES) === null || document.hidden) return;
  try {
    progress = await call("GET", "/v1/review/status", { roles: ROLES });
  } catch (refused) {
    if (!(refused instanceof Problem)) throw refused; // asking for questions shows the same
  }
  words();
}

function mode(grid) {
  many = grid;
  localStorage.setItem(MODE, grid ? "grid" : "one");
  $("one").setAttribute("aria-pressed", String(!grid));
  $("grid").setAttribute("aria-pressed", String(grid));
  turn();
  questions.keep(ahead());
  draw();
}

document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]") || event.target.closest?.("input, textarea")) return;
  const found = pressed(event);
  if (found === null) return;
  event.preventDefault();
  act(found);
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  void questions.ask();
  void stand();
});
addEventListener("pagehide", () => questions.leave());
addEventListener("pageshow", (event) => event.persisted && questions.start());
addEventListener("beforeunload", (event) => questions.trouble && event.preventDefault());
$("one").addEventListener("click", () => mode(false));
$("grid").addEventListener("click", () => mode(true));
$("shortcuts").addEventListener("click", () => shortcuts.open());
narrow.addEventListener("change", () => mode(many));

let holder = keyFor(ROLES);
keyring(() => {
  if (keyFor(ROLES) !== holder) questions.forget();
  holder = keyFor(ROLES);
  [page, progress, times] = [[], null, []];
  questions.start();
  void stand();
  draw();
});
pad();
mode(many);
questions.start();
void stand();
setInterval(stand, STATUS_MS);
