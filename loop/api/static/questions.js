// The reviewer's questions: fetched ahead, answered at once, and sent in the background until the server has them.

import { Problem, call, json } from "./api.js";
import { keyFor } from "./keys.js";

export const ROLES = ["reviewer", "ops"];
const PLACE = "loop.review.unsent";
const MOST = 100; // of one request
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;
const EMPTY_PAUSE_MS = 8_000;
const AGAIN = new Set([0, 408, 429]); // and every 5xx: the same request may be accepted later

/**
 * The queue of one reviewer in one tab. It calls `changed()` after every change, and keeps what the server does not have
 * yet in the tab's storage, so that a reload loses nothing.
 */
export class Questions {
  waiting = []; // fetched and not answered, in order
  given = []; // answers of this visit, the oldest first: { question, word, state, said }
  failed = []; // answers that the server refused
  problem = null; // the last `Problem` of asking for questions, or null
  empty = false; // the server has no question for this reviewer now
  trouble = ""; // why answers are not sent now
  #ahead;
  #changed;
  #unsent = []; // { kind, question, word, seconds, key, entry }
  #sending = false;
  #asking = false;
  #done = new Set(); // numbers that are not to be shown again, although an older answer of the server has them
  #heldUntil = 0;
  #timer = 0;

  constructor(ahead, changed) {
    this.#ahead = ahead;
    this.#changed = changed;
    for (const kept of JSON.parse(sessionStorage.getItem(PLACE) ?? "[]")) {
      const entry = { question: kept.question, word: kept.word, state: "sending", said: null };
      if (kept.kind === "answer") {
        this.given.push(entry);
        this.#done.add(kept.question.id);
      }
      this.#unsent.push({ ...kept, entry });
    }
  }

  get unsent() {
    return this.#unsent.length;
  }

  /** Send what waits and fetch what is missing; also after another key was entered. */
  start() {
    this.problem = null;
    this.empty = false;
    void this.#send();
    void this.ask();
  }

  /** Drop what was fetched with another key. */
  forget() {
    this.waiting = [];
    this.given = [];
    this.#done.clear();
  }

  /** How many questions to have ready. */
  keep(ahead) {
    this.#ahead = ahead;
    if (this.waiting.length < ahead) void this.ask();
  }

  /** Answer a question that waits. */
  answer(question, word, seconds) {
    const entry = { question, word, state: "sending", said: null };
    this.waiting = this.waiting.filter((each) => each !== question);
    this.#done.add(question.id);
    this.given.push(entry);
    this.#queue({ kind: "answer", question, word, seconds, key: keyFor(ROLES), entry });
    if (this.waiting.length < this.#ahead / 2) void this.ask();
    this.#changed();
  }

  /** Take back the answer to a question of an earlier visit; the server hands the question out again. */
  undoEarlier(id) {
    this.#queue({ kind: "undo", question: { id, image: null }, word: null, key: keyFor(ROLES), entry: null });
  }

  /** Take back the last answer of this visit: its question waits again, as the first. Returns it, or null without any. */
  undo() {
    const entry = this.given.findLast(({ state }) => state !== "refused");
    if (entry === undefined) return null;
    this.given = this.given.filter((each) => each !== entry);
    const op = this.#unsent.find((each) => each.entry === entry && each.kind === "answer");
    if (op && op !== this.#unsent[0]) this.#unsent = this.#unsent.filter((each) => each !== op); // never left this page
    else this.#queue({ kind: "undo", question: entry.question, word: null, key: keyFor(ROLES), entry });
    this.#done.delete(entry.question.id);
    this.#keep();
    entry.question.picture ??= pictured(entry.question.image);
    this.waiting = [entry.question, ...this.waiting.filter((each) => each.id !== entry.question.id)];
    this.#changed();
    return entry.question;
  }

  /** The page is left: questions go back unseen, and answers that wait are sent without waiting for the server. */
  leave() {
    clearTimeout(this.#timer);
    const numbers = this.waiting.map(({ id }) => id);
    this.waiting = [];
    this.#heldUntil = 0;
    if (this.#unsent.every(({ kind }) => kind === "answer"))
      for (const op of this.#unsent) void post("answers", answered(op), op.key, true).catch(() => {}); // a reload sends them again
    if (numbers.length && keyFor(ROLES)) void post("give-back", { questions: numbers }, null, true).catch(() => {}); // or their hold ends
  }

  /** Ask for questions, which also renews the hold of those that wait. */
  async ask() {
    if (this.#asking || keyFor(ROLES) === null) return;
    this.#asking = true;
    clearTimeout(this.#timer);
    let pause = EMPTY_PAUSE_MS;
    try {
      const key = keyFor(ROLES);
      const count = Math.min(MOST, this.waiting.length + this.#unsent.length + this.#ahead);
      const got = await post("next", { count }, key);
      if (key !== keyFor(ROLES)) return void setTimeout(() => this.ask(), 0);
      await this.#take(got.questions);
      this.#heldUntil = Date.parse(got.held_until);
      this.problem = null;
      this.empty = this.waiting.length === 0;
      if (!this.empty) pause = Math.max(1_000, (this.#heldUntil - Date.now()) / 2);
    } catch (refused) {
      if (!(refused instanceof Problem)) throw refused;
      this.problem = refused;
      pause = again(refused) ? Math.max(3_000, 1_000 * refused.wait) : 0;
    } finally {
      this.#asking = false;
    }
    if (pause) this.#timer = setTimeout(() => document.hidden || this.ask(), pause);
    this.#changed();
  }

  /** Whether the hold of what waits has ended: others may have it now. */
  get expired() {
    return this.waiting.length > 0 && Date.now() > this.#heldUntil;
  }

  async #take(questions) {
    const lapsed = this.expired;
    const fresh = questions.filter(({ id }) => !this.#done.has(id) && !this.waiting.some((each) => each.id === id));
    const made = await Promise.all(fresh.map(drawn));
    const now = this.waiting.filter(({ id }) => !lapsed || questions.some((each) => each.id === id));
    this.waiting = [...now, ...made.filter(({ id }) => !this.#done.has(id))];
  }

  #queue(op) {
    this.#unsent.push(op);
    this.#keep();
    void this.#send();
  }

  #keep() {
    sessionStorage.setItem(PLACE, JSON.stringify(this.#unsent.map(({ kind, question, word, seconds, key }) => (
      { kind, question: { id: question.id, image: question.image }, word, seconds, key }))));
  }

  /** Send what waits, in order, one at a time: an undo must not overtake its answer. */
  async #send() {
    if (this.#sending) return;
    this.#sending = true;
    let pause = FIRST_PAUSE_MS;
    while (this.#unsent.length) {
      const op = this.#unsent[0];
      try {
        this.#sent(op, await (op.kind === "answer" ? post("answers", answered(op), op.key) : post("undo", { question: op.question.id }, op.key)));
      } catch (refused) {
        if (!(refused instanceof Problem)) throw refused;
        if (again(refused)) {
          this.trouble = `${this.#unsent.length} not sent yet: ${refused.message}. They are kept and sent again.`;
          this.#changed();
          await new Promise((wake) => setTimeout(wake, Math.max(pause, 1_000 * refused.wait)));
          pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
          continue;
        }
        this.#refused(op, refused);
      }
      pause = FIRST_PAUSE_MS;
      this.trouble = "";
      this.#unsent.shift();
      this.#keep();
      this.#changed();
    }
    this.#sending = false;
  }

  #sent(op, said) {
    if (op.kind === "answer") Object.assign(op.entry, { state: "stored", said });
    else {
      if (op.entry === null) this.#done.delete(said.question); // of an earlier visit; others wait here, or are answered again
      void this.ask(); // hold it again
    }
  }

  #refused(op, { message }) {
    if (op.kind === "answer") {
      op.entry.state = "refused";
      this.failed.push({ ...op.entry, reason: message });
    } else { // the answer stands
      this.waiting = this.waiting.filter(({ id }) => id !== op.question.id);
      this.#done.add(op.question.id);
      this.failed.push({ question: op.question, word: null, reason: message });
    }
  }
}

const again = ({ status }) => AGAIN.has(status) || status >= 500;

const answered = ({ question, word, seconds }) => ({ question: question.id, ...word, seconds });

const post = (name, body, key, keepalive = false) => call("POST", `/v1/review/${name}`, { roles: ROLES, key, keepalive, ...json(body) });

/** A question with its picture decoded, so that showing it takes no time. */
async function drawn({ id, image }) {
  const picture = pictured(image);
  await picture.decode().catch(() => {}); // shown as a broken picture, which can be skipped
  return { id, image, picture };
}

function pictured(image) {
  const picture = new Image();
  picture.alt = "";
  picture.src = `data:image/png;base64,${image}`;
  return picture;
}
