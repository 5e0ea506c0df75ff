// "In production": what phones run, how the nights ended, and, for operators, changes.

import { Problem, call } from "./api.js";
import { $, h, percent, show, when } from "./dom.js";
import { keyFor, keyring } from "./keys.js";
import { askForNight, promote, rollBack } from "./moving.js";
import { about } from "./version.js";

const ROLES = ["ops", "reviewer"];
const IDLE_POLL_MS = 5_000;
const RUNNING_POLL_MS = 1_500; // while a run is in progress
const VERBS = { promote: "promoted", rollback: "rolled back to" };

let timer = 0;
let seen = 0; // number of the last request; answers to earlier ones are dropped

/** Refresh now, and keep polling. */
async function look() {
  clearTimeout(timer);
  const mine = ++seen;
  let pause = IDLE_POLL_MS;
  try {
    const [versions, runs, moves] = await Promise.all([get("/v1/versions?limit=50"), get("/v1/runs?limit=10"), get("/v1/moves?limit=20")]);
    if (mine !== seen) return;
    pause = runs.some((run) => run.status === "running") ? RUNNING_POLL_MS : IDLE_POLL_MS;
    $("problem").textContent = "";
    draw(versions, runs, moves);
  } catch (refused) {
    if (!(refused instanceof Problem)) throw refused;
    if (mine !== seen) return;
    pause = Math.max(pause, 1000 * refused.wait);
    const noKey = keyFor(ROLES) === null;
    $("problem").textContent = noKey ? "Enter a key of role ops or reviewer to see what is in production." : `Not up to date: ${refused.message}.`;
    if (noKey) draw([], [], []);
  }
  if (!document.hidden) timer = setTimeout(look, pause);
}

const get = (path) => call("GET", path, { roles: ROLES });

function draw(versions, runs, moves) {
  const moving = keyFor(["ops"]) !== null;
  for (const section of document.querySelectorAll("main section")) section.hidden = keyFor(ROLES) === null;
  show($("champions"), [versions, moves, moving], () => champions(versions, moves, moving));
  show($("versions"), [versions, moving], () => listing(versions, moving));
  show($("runs"), runs, () => [table("Last runs", runs, ["Run", "Kind", "State", "Progress or reason", "Version", "Started"], runRow)]);
  show($("moves"), moves, () => [table("Ledger", moves, ["When", "Change", "By", "Verdict", "Reason"], moveRow)]);
}

function champions(versions, moves, moving) {
  const families = [...new Set(versions.map((version) => version.family))].sort();
  return families.map((family) => {
    const champion = versions.find((version) => version.family === family && version.alias === "champion");
    const since = moves.find((move) => move.family === family && move.alias === "champion");
    return h("article", { class: "card", "aria-label": `Champion of ${family}` },
      h("div", {},
        h("p", { class: "small" }, `Champion of ${family}`),
        h("p", { class: "number" }, champion ? `Version ${champion.number}` : "None yet"),
        since && h("p", { class: "small" }, "since ", when(since.moved_at), `, ${VERBS[since.verb] ?? since.verb} by ${since.actor}`)),
      champion && h("dl", { class: "figures" },
        Object.entries(champion.accuracy).map(([slice, share]) => figure(slice, percent(share))), figure("size", size(champion.bytes))),
      moving && h("div", { class: "buttons" },
        h("button", { type: "button", id: `night-${family}`, onclick: () => askForNight(family, moved) }, "Run a night"),
        h("button", { type: "button", id: `back-${family}`, onclick: () => rollBack(family, earlier(moves, family), moved) }, "Roll back…")));
  });
}

const figure = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));

/** Earlier champions of a family, the latest first. */
function earlier(moves, family) {
  const [now, ...before] = moves.filter((move) => move.family === family && move.alias === "champion").map((move) => move.after);
  return [...new Set(before)].filter((number) => number !== now);
}

function listing(versions, moving) {
  const slices = [...new Set(versions.flatMap((version) => Object.keys(version.accuracy)))].sort();
  const heads = ["Version", "Verdict", ...slices.map(right), { text: "Size", kind: "right spare" }, "Registered", ...(moving ? [""] : [])];
  return [table("Versions", versions, heads, (version) => [
    h("td", {}, h("span", {},
      h("button", { type: "button", class: "link", id: `about-${version.number}`, onclick: () => about(version.number, notify) }, String(version.number)),
      ` ${version.family}`, version.alias && h("span", { class: `tag ${version.alias}` }, version.alias))),
    h("td", {}, outcome(version.verdict)),
    slices.map((slice) => h("td", { class: "right" }, percent(version.accuracy[slice]))),
    h("td", { class: "right spare" }, size(version.bytes)),
    h("td", {}, when(version.registered_at)),
    moving && h("td", { class: "right" }, version.alias !== "champion" &&
      h("button", { type: "button", id: `promote-${version.number}`, onclick: () => promote(version, moved) }, "Promote…")),
  ])];
}

function runRow(run) {
  const running = run.status === "running";
  const bar = running && run.total > 0 && h("progress", { value: run.done, max: run.total, "aria-label": `Progress of ${run.step}` });
  return [
    h("td", {}, String(run.id)),
    h("td", {}, `${run.kind}, ${run.family}`),
    h("td", {}, outcome(run.status)),
    h("td", { class: "long" }, h("span", {}, bar, running ? progress(run) : run.reason ?? "–")),
    h("td", {}, run.version === null ? "–" : String(run.version)),
    h("td", {}, when(run.started_at)),
  ];
}

const progress = ({ step, done, total }) => (step === null ? "starting" : total > 1 ? `${step}, ${done} of ${total}` : step);

function moveRow(move) {
  return [
    h("td", {}, when(move.moved_at)),
    h("td", { class: "long" }, `${move.alias} of ${move.family}: ${move.before ?? "–"} → ${move.after} (${move.verb})`),
    h("td", { class: "long" }, move.actor),
    h("td", {}, h("span", {}, outcome(move.verdict), move.override && " (overridden)")),
    h("td", { class: "long" }, move.reason),
  ];
}

/** A table that scrolls if it is too wide; on a phone each cell shows its column's name (style.css). */
function table(name, rows, heads, cells) {
  if (!rows.length) return h("p", { class: "small" }, "None yet.");
  const columns = heads.map((head) => (typeof head === "string" ? { text: head } : head));
  const row = (each) => {
    const made = h("tr", { role: "row" }, cells(each));
    [...made.cells].forEach((cell, i) => { cell.setAttribute("role", "cell"); cell.dataset.head = columns[i].text; if (cell.textContent === "–") cell.classList.add("none"); });
    return made;
  };
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": name }, h("table", { role: "table" },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, columns.map(({ text, kind }) => h("th", { scope: "col", role: "columnheader", class: kind }, text)))),
    h("tbody", { role: "rowgroup" }, rows.map(row))));
}

const right = (text) => ({ text, kind: "right" });
const outcome = (word) => h("span", { class: ["passed", "failed", "inconclusive", "finished", "skipped"].includes(word) ? `outcome ${word}` : "outcome" }, word);
const size = (bytes) => `${Math.round(bytes / 1000).toLocaleString("en-GB")} kB`;

function notify(text) {
  $("outcome").textContent = text;
}

function moved(text) {
  notify(text);
  look();
}

document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
keyring(look);
look();
