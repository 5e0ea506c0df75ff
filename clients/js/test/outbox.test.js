// Uploads that break off, servers that ask to wait, pages that are closed at every write, undo and erasure.

import assert from "node:assert/strict";
import { test } from "node:test";

import { LoopOutbox, LoopServer, MemoryStore, asked, confirmation, correction, drawing, png, sourceName, unlabelled } from "../src/index.js";
import { rule } from "./checks.js";
import { Mortal } from "./publisher.js";

const API = "https://api.example";
const NOW = new Date("2026-05-03T03:00:00Z");
const pixels = (seed) => Uint8Array.from({ length: 784 }, (_, i) => (i * seed) % 256);
const said = (seed, key = `k${seed}`) => correction(pixels(seed), { label: 7, predicted: 1, confidence: 0.6, version: 3, key });
const problem = (status, type, more = {}) => ({ status, problem: { type: `urn:digit-loop:${type}`, status, detail: "…", ...more } });

/** A server in memory with the rules of docs/api.md that matter to an outbox. */
class Server {
  stored = new Map();
  withdrawn = [];
  requests = [];
  erased = 0;
  refusals = new Map(); // by key: an answer in place of storing
  fails = () => null; // by request: "before" or "after" it took effect there is no answer; or a Response
  most = 500;

  fetch = async (url, init) => {
    const path = url.slice(`${API}/v1/`.length);
    const request = { path, method: init.method, headers: new Headers(init.headers), body: init.body };
    this.requests.push(request);
    const fails = this.fails(request, this.requests.length);
    if (fails instanceof Response) return fails;
    if (fails === "before") throw new TypeError("fetch failed");
    const answer = this.#answer(request);
    if (fails === "after") throw new TypeError("fetch failed");
    return answer;
  };

  #answer({ path, method, headers, body }) {
    if (method === "DELETE" && path.startsWith("corrections/")) return this.#withdraw(Number(path.split("/")[1]));
    if (method === "DELETE") {
      const uploads = this.stored.size;
      this.stored.clear();
      this.erased += 1;
      return Response.json({ uploads, considered: [2] });
    }
    if (!path.endsWith(":batch")) {
      const { status, accepted, problem: refused } = this.#store(JSON.parse(body));
      assert.equal(headers.get("Idempotency-Key"), JSON.parse(body).key);
      return Response.json(accepted ?? refused, { status, headers: refused?.wait ? { "Retry-After": String(refused.wait) } : {} });
    }
    const [corrections] = Object.values(JSON.parse(body));
    if (corrections.length > this.most) return Response.json({ type: "urn:digit-loop:split-batch", status: 413 }, { status: 413 });
    return Response.json({ answers: corrections.map((each) => this.#store(each)) });
  }

  #store(each) {
    if (this.refusals.has(each.key)) return this.refusals.get(each.key);
    if (!this.stored.has(each.key)) this.stored.set(each.key, { id: this.stored.size + 1, times: 0, ...each });
    const kept = this.stored.get(each.key);
    kept.times += 1;
    return { status: 201, accepted: { id: kept.id } };
  }

  #withdraw(id) {
    this.withdrawn.push(id);
    return Response.json({ id, status: "withdrawn" });
  }
}

/** An outbox at a server. */
function outboxAt(server, store = new MemoryStore(), clock = { now: () => NOW }, batch = undefined) {
  const services = { fetch: server.fetch, clock: { uptime: () => 0, ...clock } };
  return new LoopOutbox({ api: `${API}/`, key: "loop_app_x", store, services, ...(batch && { batch }) });
}

test("one goes alone, several as a batch, oldest first; each is stored once", async () => {
  const server = new Server();
  const outbox = outboxAt(server);
  await outbox.add(said(1));
  assert.deepEqual((await outbox.upload()).accepted, [{ key: "k1", id: 1 }]);
  for (const seed of [2, 3, 4]) await outbox.add(said(seed));
  assert.equal(await outbox.waiting(), 3);
  assert.equal((await outbox.upload()).accepted.length, 3);
  assert.deepEqual([...server.stored.keys()], ["k1", "k2", "k3", "k4"]);
  assert.deepEqual(server.requests.map(({ path }) => path), ["corrections", "corrections:batch"]);
  const [{ headers }] = server.requests;
  assert.match(headers.get("Loop-Source"), /^[A-Za-z0-9_-]{43}$/);
  assert.equal(headers.get("Authorization"), "Bearer loop_app_x");
  assert.equal(await outbox.waiting(), 0);
});

test("drawings go to their own list, in the order in which they were added", async () => {
  const server = new Server();
  const outbox = outboxAt(server);
  const probabilities = [0.5, 0.4, 0.1, 0, 0, 0, 0, 0, 0, 0];
  await outbox.add(said(1));
  for (const key of ["d1", "d2"]) await outbox.add(drawing(pixels(5), { probabilities, rate: 0.2, version: 3, key }));
  await outbox.add(said(2));
  assert.equal((await outbox.upload()).accepted.length, 4);
  assert.deepEqual(server.requests.map(({ path }) => path), ["corrections", "drawings:batch", "corrections"]);
  const { image, captured_at: at, id, times, ...body } = server.stored.get("d1");
  assert.deepEqual(body, { key: "d1", predicted: 0, confidence: 0.5, runner_up: 1, runner_up_confidence: 0.4, rate: 0.2, version: 3 });
});

test("a refused batch is halved down to one, and no correction is lost", async () => {
  const server = new Server();
  server.most = 1;
  const outbox = outboxAt(server);
  for (const seed of [1, 2, 3, 4, 5]) await outbox.add(said(seed));
  assert.equal((await outbox.upload()).accepted.length, 5);
  assert.deepEqual([...server.stored.values()].map(({ times }) => times), [1, 1, 1, 1, 1]);
});

test("only an answer to a correction alone drops it", async () => {
  const server = new Server();
  server.refusals.set("k2", problem(422, "bad-image"));
  server.refusals.set("k3", problem(429, "quota-spent", { retry_after: 30 }));
  let now = NOW;
  const outbox = outboxAt(server, undefined, { now: () => now });
  for (const seed of [1, 2, 3]) await outbox.add(said(seed));
  const done = await outbox.upload();
  assert.deepEqual(done.refused.map(({ key, type }) => [key, type]), [["k2", "urn:digit-loop:bad-image"]]);
  assert.deepEqual([done.accepted.length, done.waiting, done.notBefore], [1, 1, new Date(NOW.getTime() + 30_000)]);
  assert.equal(done.why, "…");
  const before = server.requests.length;
  now = new Date(NOW.getTime() + 29_000);
  await outbox.upload();
  assert.equal(server.requests.length, before, "nothing is sent before Retry-After");
  now = new Date(NOW.getTime() + 31_000);
  server.refusals.clear();
  assert.equal((await outbox.upload()).accepted.length, 1);
});

for (const status of [400, 401, 403, 404, 408, 422, 429, 500, 503, 507]) {
  test(`a batch refused with ${status} keeps all its corrections`, async () => {
    const server = new Server();
    server.fails = () => Response.json({ type: "urn:digit-loop:other" }, { status, headers: { "Retry-After": "7" } });
    const outbox = outboxAt(server);
    await outbox.add(said(1));
    await outbox.add(said(2));
    const done = await outbox.upload();
    assert.deepEqual([done.waiting, done.refused, done.notBefore], [2, [], new Date(NOW.getTime() + 7_000)]);
  });
}

test("an answer that does not fit, or is no JSON, is none", async () => {
  for (const answer of [() => Response.json({ answers: [] }), () => new Response("<html>"), () => Response.json({ answers: [{}, null] })]) {
    const server = new Server();
    server.fails = answer;
    const outbox = outboxAt(server);
    await outbox.add(said(1));
    await outbox.add(said(2));
    assert.equal((await outbox.upload()).waiting, 2);
  }
});

test("a wait that another clock set is forgotten", async () => {
  const server = new Server();
  server.refusals.set("k1", problem(429, "quota-spent", { retry_after: 3_600 }));
  let now = new Date("2031-01-01T00:00:00Z");
  const outbox = outboxAt(server, undefined, { now: () => now });
  await outbox.add(said(1));
  await outbox.upload();
  now = NOW;
  server.refusals.clear();
  assert.equal((await outbox.upload()).accepted.length, 1);
});

test("connections that break before or after the server stored lose and double nothing", async () => {
  for (let at = 1; at <= 6; at += 1) {
    for (const when of ["before", "after"]) {
      const server = new Server();
      server.fails = (_, number) => (number === at ? when : null);
      const outbox = outboxAt(server, undefined, undefined, { corrections: 2, bytes: 1 << 20 });
      for (const seed of [1, 2, 3, 4, 5, 6, 7]) await outbox.add(said(seed));
      for (let tries = 0; tries < 3; tries += 1) await outbox.upload();
      assert.deepEqual([...server.stored.keys()], ["k1", "k2", "k3", "k4", "k5", "k6", "k7"]);
      assert.equal(await outbox.waiting(), 0);
    }
  }
});

for (const before of [true, false]) {
  test(`a page closed ${before ? "before" : "after"} any write of an upload loses and doubles nothing`, async () => {
    let kills = 0;
    for (let at = 1; ; at += 1) {
      const [server, store] = [new Server(), new MemoryStore()];
      const living = outboxAt(server, store);
      for (const seed of [1, 2, 3]) await living.add(said(seed));
      const died = await outboxAt(server, new Mortal(store, at, before)).upload().then(() => false, ({ message }) => message === "killed");
      await outboxAt(server, store).upload();
      assert.deepEqual([...server.stored.keys()], ["k1", "k2", "k3"]);
      assert.equal(await living.waiting(), 0);
      assert.deepEqual(await store.names("tried/"), []);
      if (!died) break;
      kills += 1;
    }
    assert.ok(kills >= 8, `${kills} kills`);
  });

  test(`a page closed ${before ? "before" : "after"} any write of an erasure erases all, and sends nothing of it again`, async () => {
    let kills = 0;
    for (let at = 1; ; at += 1) {
      const [server, store] = [new Server(), new MemoryStore()];
      const living = outboxAt(server, store);
      await living.add(said(1));
      await living.upload();
      await living.add(said(2));
      const died = await outboxAt(server, new Mortal(store, at, before)).erase().then(() => false, ({ message }) => message === "killed");
      const promised = (await store.get("promise")) !== null;
      await outboxAt(server, store).upload();
      if (promised) assert.deepEqual([...server.stored.keys()], []);
      if (promised) assert.ok(server.erased >= 1);
      if (!died) break;
      kills += 1;
    }
    assert.ok(kills >= 5, `${kills} kills`);
  });
}

test("undo drops what was never sent, and withdraws what was", async () => {
  const server = new Server();
  const outbox = outboxAt(server);
  await outbox.add(said(1));
  await outbox.undo("k1");
  assert.equal(server.requests.length, 0);
  await outbox.add(said(2));
  await outbox.upload();
  assert.deepEqual((await outbox.undo("k2")).withdrawn, ["k2"]);
  assert.deepEqual(server.withdrawn, [1]);
  await outbox.undo("k2");
  await outbox.upload();
  assert.deepEqual(server.withdrawn, [1, 1], "a second undo is harmless");
});

test("undo of what may have been stored waits for the server's word", async () => {
  const server = new Server();
  const outbox = outboxAt(server);
  await outbox.add(said(1));
  server.fails = () => "after";
  assert.equal((await outbox.upload()).why, "the server does not answer");
  server.fails = () => "before";
  await outbox.undo("k1");
  assert.equal(server.stored.size, 1);
  server.fails = () => null;
  assert.deepEqual((await outbox.upload()).withdrawn, ["k1"]);
  assert.deepEqual(server.withdrawn, [1]);
  assert.equal(await outbox.waiting(), 0);
});

test("erasure deletes what waits, is kept as a promise, and makes a new source", async () => {
  const [server, store] = [new Server(), new MemoryStore()];
  const outbox = outboxAt(server, store);
  await outbox.add(said(1));
  await outbox.upload();
  await outbox.add(said(2));
  server.fails = () => "before";
  assert.equal(await rule(() => outbox.erase()), "Unavailable");
  assert.equal(await outbox.waiting(), 0);
  await outbox.add(said(3)); // after a new consent
  assert.equal(await rule(() => outbox.upload()), "Unavailable");
  assert.equal(server.stored.size, 1);
  server.fails = () => null;
  const done = await outbox.upload();
  assert.deepEqual([done.erased, done.accepted.length], [{ uploads: 1, considered: [2] }, 1]);
  const sources = server.requests.map(({ headers }) => headers.get("Loop-Source"));
  assert.notEqual(sources[0], sources.at(-1));
  assert.equal(server.requests.at(-2).path, `sources/${await sourceName(sources[0])}`);
});

test("what is added after an erasure is kept, although the clock was set back and the page opened again", async () => {
  const [server, store] = [new Server(), new MemoryStore()];
  await outboxAt(server, store).add(said(1));
  server.fails = () => "before";
  assert.equal(await rule(() => outboxAt(server, store).erase()), "Unavailable");
  const later = outboxAt(server, store, { now: () => new Date(NOW.getTime() - 86_400_000) });
  await later.add(said(2));
  server.fails = () => null;
  assert.deepEqual((await later.upload()).accepted.map(({ key }) => key), ["k2"]);
});

test("two uploads at once are one, and another tab is Busy", async () => {
  const [server, store] = [new Server(), new MemoryStore()];
  const outbox = outboxAt(server, store);
  await outbox.add(said(1));
  const [one, two, three] = await Promise.all([outbox.upload(), outbox.upload(), rule(() => outboxAt(server, store).upload())]);
  assert.equal(one, two);
  assert.equal(three, "Busy");
  assert.equal(server.requests.length, 1);
});

test("what the server would refuse is refused before it waits", () => {
  const answer = { predicted: 1, confidence: 0.6, version: 3 };
  const wrong = {
    BadField: [
      () => correction(pixels(1), { ...answer, label: 1 }),
      () => correction(pixels(1), { ...answer, label: 10 }),
      () => correction(pixels(1), { ...answer, label: 7, confidence: NaN }),
      () => correction(pixels(1), { ...answer, label: 7, version: 0 }),
      () => correction(pixels(1), { ...answer, label: 7, key: "ü" }),
      () => correction(pixels(1), { ...answer, label: 7, capturedAt: new Date(NaN) }),
      () => confirmation(pixels(1), { ...answer, rate: 0 }),
      () => confirmation(pixels(1), { ...answer, rate: NaN }),
      () => drawing(pixels(1), { rate: 0.2, probabilities: [1, 1, 0, 0, 0, 0, 0, 0, 0, 0] }),
    ],
    BadImage: [() => unlabelled(new Uint8Array(783), { why: "unreadable" })],
  };
  for (const [name, calls] of Object.entries(wrong)) {
    for (const call of calls) assert.throws(call, (thrown) => thrown.rule === name);
  }
  const body = JSON.parse(asked(pixels(1), { ...answer, label: 7, rate: 0.2, capturedAt: NOW }).body);
  assert.deepEqual([body.kind, body.label, body.rate, body.captured_at], ["asked", 7, 0.2, "2026-05-03T03:00:00.000Z"]);
});

test("a prediction is the champion's, and a refusal is named", async () => {
  const fetch = async (url, init) => {
    assert.deepEqual([url, init.method, init.body], [`${API}/v1/predictions`, "POST", png(pixels(1), 28)]);
    return Response.json({ label: 4, probabilities: [], version: 2 });
  };
  assert.equal((await new LoopServer(API, () => "loop_app_x", { fetch }).predict(pixels(1))).label, 4);
  const refuse = async () => Response.json({ detail: "no champion" }, { status: 409 });
  assert.equal(await rule(() => new LoopServer(API, "k", { fetch: refuse }).predict(pixels(1))), "Unavailable");
});
