// Syncs that break off, servers that are slow, pages that are closed at every write, and the asking policy.

import assert from "node:assert/strict";
import { test } from "node:test";

import { LoopPhone, MemoryStore, decide, drawLot, twoBest } from "../src/index.js";
import { SITE, rule, shelf } from "./checks.js";
import { Mortal, Publisher, loadModel, seal } from "./publisher.js";

const LONG = "x".repeat(600_000);

/** A phone at a publisher; `answer` may replace what the server does. */
async function phoneAt(publisher, store = new MemoryStore(), answer = null, timeouts = undefined, uptime = () => 0) {
  const asked = [];
  const fetch = (url, init) => {
    asked.push([url.slice(SITE.length + 1), new Headers(init.headers).get("Range")]);
    return (answer ?? shelf(publisher.files))(url, init);
  };
  const services = { fetch, clock: { now: () => publisher.now, uptime }, ...(timeouts && { timeouts }) };
  const phone = await LoopPhone.open({ site: `${SITE}/`, root: publisher.root, store, services, loadModel });
  return { phone, store, asked };
}

/** A body that breaks off after some bytes: by an error, or by its end. */
const cut = (data, length, breaks, headers = {}, status = 200) => new Response(new ReadableStream({
  start(controller) {
    controller.enqueue(data.subarray(0, length));
    if (breaks) setTimeout(() => controller.error(new TypeError("terminated")), 1);
    else controller.close();
  },
}), { headers, status });

for (const [breaks, expected] of [[true, "Unavailable"], [false, "Truncated"]]) {
  test(`a download that ends early (${expected}) is resumed where it ended`, async () => {
    const publisher = await Publisher.make();
    const path = await publisher.publish(1, { filling: LONG });
    const honest = shelf(publisher.files);
    let server = (url, init) => (url.endsWith(path) ? cut(publisher.files[path], 300_000, breaks) : honest(url, init));
    const { phone, asked } = await phoneAt(publisher, undefined, (...request) => server(...request));
    assert.equal(await rule(() => phone.sync()), expected);
    assert.equal(phone.current, null);
    server = honest;
    assert.equal((await phone.sync()).current.version, 1);
    assert.deepEqual(asked.filter(([name]) => name === path), [[path, null], [path, "bytes=300000-"]]);
  });
}

test("a server that hides where its answer begins is asked for the whole file", async () => {
  const publisher = await Publisher.make();
  const path = await publisher.publish(1, { filling: LONG });
  const honest = shelf(publisher.files);
  let server = (url, init) => (url.endsWith(path) ? cut(publisher.files[path], 300_000, false) : honest(url, init));
  const { phone } = await phoneAt(publisher, undefined, (...request) => server(...request));
  assert.equal(await rule(() => phone.sync()), "Truncated");
  server = async (url, init) => {
    const answer = await honest(url, init);
    return answer.status === 206 ? new Response(answer.body, { status: 206 }) : answer;
  };
  assert.equal((await phone.sync()).current.version, 1);
});

test("a body beyond its length, a slow one and one that stops are refused by name", async () => {
  const publisher = await Publisher.make();
  const path = await publisher.publish(1, { filling: LONG });
  const honest = shelf(publisher.files);
  const long = await phoneAt(publisher, undefined, (url, init) =>
    url.endsWith(path) ? new Response(new Uint8Array(publisher.files[path].length + 1)) : honest(url, init));
  assert.equal(await rule(() => long.phone.sync()), "TooLong");
  assert.deepEqual(await long.store.names("partial/"), []);
  let seconds = 0;
  const slow = await phoneAt(publisher, undefined, null, { seconds: 30, bytesPerSecond: 1e9 }, () => (seconds += 20));
  assert.equal(await rule(() => slow.phone.sync()), "TooSlow");
  const stuck = await phoneAt(publisher, undefined, () => new Promise(() => {}), { seconds: 0.02, bytesPerSecond: 1000 });
  assert.equal(await rule(() => stuck.phone.sync()), "TooSlow");
});

test("no answer, a redirect and other statuses are Unavailable", async () => {
  const publisher = await Publisher.make();
  await publisher.publish(1);
  for (const answer of [() => Promise.reject(new TypeError("fetch failed")), () => new Response("", { status: 503 })]) {
    const { phone } = await phoneAt(publisher, undefined, answer);
    assert.equal(await rule(() => phone.sync()), "Unavailable");
  }
  let redirect;
  const { phone } = await phoneAt(publisher, undefined, async (url, init) => { redirect = init.redirect; return shelf(publisher.files)(url, init); });
  await phone.sync();
  assert.equal(redirect, "error");
});

test("without streams, as in React Native, a sync works the same", async () => {
  const publisher = await Publisher.make();
  await publisher.publish(1);
  const { phone } = await phoneAt(publisher, undefined, async (url, init) => {
    const answer = await shelf(publisher.files)(url, init);
    return { status: answer.status, headers: answer.headers, body: undefined, arrayBuffer: () => answer.arrayBuffer() };
  });
  assert.equal((await phone.sync()).current.version, 1);
});

test("two syncs at once are one, and another object of the same store is Busy", async () => {
  const publisher = await Publisher.make();
  await publisher.publish(1);
  const { phone, store, asked } = await phoneAt(publisher);
  const other = await phoneAt(publisher, store);
  const [one, two, three] = await Promise.all([phone.sync(), phone.sync(), rule(() => other.phone.sync())]);
  assert.equal(one, two);
  assert.equal(three, "Busy");
  assert.equal(asked.filter(([path]) => path === "feed.json").length, 1);
});

for (const before of [true, false]) {
  test(`a page closed ${before ? "before" : "after"} any write of an update keeps a whole model, and the next sync ends it`, async () => {
    const publisher = await Publisher.make();
    await publisher.publish(1);
    let kills = 0;
    for (let at = 1; ; at += 1) {
      const { phone, store } = await phoneAt(publisher);
      await phone.sync();
      const files = { ...publisher.files };
      await publisher.publish(2, { filling: LONG });
      const mortal = new Mortal(store, at, before);
      const dying = await phoneAt(publisher, mortal);
      const died = await dying.phone.sync().then(() => false, (thrown) => thrown.message === "killed" || Promise.reject(thrown));
      const { phone: next } = await phoneAt(publisher, store);
      const loaded = await next.model();
      assert.ok([1, 2].includes(loaded.held.version));
      assert.equal(loaded.model.metadata["loop.version"], String(loaded.held.version));
      assert.equal((await next.sync()).current.version, 2);
      assert.deepEqual(await store.names("partial/"), []);
      publisher.files = files;
      if (!died) break;
      kills += 1;
    }
    assert.ok(kills >= 8, `${kills} kills`);
  });
}

test("a damaged state is refused, not guessed", async () => {
  const publisher = await Publisher.make();
  await publisher.publish(1);
  const { phone, store } = await phoneAt(publisher);
  await phone.sync();
  await store.set("state.json", (await store.get("state.json")).slice(0, -2));
  assert.equal(await rule(() => phoneAt(publisher, store)), "StateUnreadable");
});

test("a damaged model is replaced, and its golden vectors can fail it", async () => {
  const publisher = await Publisher.make();
  const path = await publisher.publish(1);
  const { phone, store } = await phoneAt(publisher);
  await phone.sync();
  await store.set(path, new Uint8Array(3));
  assert.equal((await phone.sync()).installed, true);
  for (const change of [
    (golden) => ({ ...golden, vectors: [] }),
    (golden) => ({ ...golden, vectors: [{ ...golden.vectors[0], label: 9 }] }),
    (golden) => ({ ...golden, vectors: [{ ...golden.vectors[0], probabilities: golden.vectors[0].probabilities.map((x) => x + 0.02) }] }),
    (golden) => ({ ...golden, vectors: [{ ...golden.vectors[0], probabilities: [null, ...golden.vectors[0].probabilities.slice(1)] }], tolerance: "1" }),
    (golden) => ({ ...golden, vectors: [{ ...golden.vectors[0], pixels: "!" }] }),
    () => [],
  ]) {
    await publisher.publish(2, { change });
    assert.equal(await rule(() => phone.sync()), "SelfTestFailed");
    assert.equal(phone.current.version, 1);
  }
});

test("a model that answers NaN fails its self-test", async () => {
  const publisher = await Publisher.make();
  await publisher.publish(1);
  const load = (data) => ({ ...loadModel(data), probabilities: () => [0.01, 0.91, NaN, ...Array(7).fill(0.01)] });
  const services = { fetch: shelf(publisher.files), clock: { now: () => publisher.now, uptime: () => 0 } };
  const phone = await LoopPhone.open({ site: SITE, root: publisher.root, store: new MemoryStore(), services, loadModel: load });
  assert.equal(await rule(() => phone.sync()), "SelfTestFailed");
});

test("iOS versions count on iOS only", async () => {
  const publisher = await Publisher.make();
  await publisher.publish(1);
  const services = { fetch: shelf(publisher.files), clock: { now: () => publisher.now, uptime: () => 0 } };
  for (const [ios, installed] of [[null, true], [[10, 3], false], [[11, 0], true]]) {
    const phone = await LoopPhone.open({ site: SITE, root: publisher.root, store: new MemoryStore(), services, loadModel, ios });
    assert.equal((await phone.sync()).installed, installed);
  }
});

test("an asking policy is followed until it expires; a refused one leaves the last one in place", async () => {
  const publisher = await Publisher.make();
  await publisher.publish(1);
  const { phone } = await phoneAt(publisher);
  assert.equal((await phone.sync()).askingWhy, "the server publishes no asking policy");
  assert.equal(phone.asking, null);
  await publisher.ask();
  assert.equal((await phone.sync()).askingWhy, "the policy is valid");
  const policy = { askUser: true, askedADay: 3, marginPpm: 300_000, otherPpm: 1_000, unsurePpm: 200_000 };
  assert.deepEqual(phone.asking, policy);
  const refusals = {
    RolledBack: () => publisher.ask({ sequence: publisher.sequence - 1 }),
    Equivocated: () => publisher.ask({ asked_a_day: 9 }),
    OtherEpoch: () => publisher.ask({ epoch: 2 }),
    TooFewSignatures: () => publisher.ask({}, publisher.rootKey),
    UnknownFormat: () => publisher.ask({ critical: ["colour"], colour: "red" }),
    BadDocument: () => publisher.ask({ asked_a_day: 101 }),
    Expired: () => publisher.ask({ sequence: 9, issued: "2026-05-01T03:00:00Z", expires: "2026-05-02T03:00:00Z" }),
  };
  await publisher.publish(2);
  await publisher.ask();
  await phone.sync();
  for (const [name, strike] of Object.entries(refusals)) {
    await strike();
    const done = await phone.sync();
    assert.match(done.askingWhy, new RegExp(`${name}:`));
    assert.deepEqual(phone.asking, policy);
    assert.equal(done.current.version, 2);
  }
  await publisher.ask({ sequence: 5, colour: "red", asked_a_day: 4 }); // it may grow
  await phone.sync();
  assert.equal(phone.asking.askedADay, 4);
  publisher.now = new Date(publisher.now.getTime() + 24 * 3_600_000);
  assert.equal(phone.asking, null);
});

test("a new app with a root of another epoch forgets the policy, and trusts it without a network", async () => {
  const publisher = await Publisher.make();
  await publisher.publish(1);
  await publisher.ask({ expires: "2099-01-01T00:00:00Z" });
  const { phone, store } = await phoneAt(publisher);
  await phone.sync();
  assert.equal(phone.asking.askedADay, 3);
  await publisher.start(7, 2);
  const { phone: updated } = await phoneAt(publisher, store, () => Promise.reject(new TypeError("fetch failed")));
  assert.equal(await rule(() => updated.sync()), "Unavailable");
  const { phone: again } = await phoneAt(publisher, store);
  assert.deepEqual([again.trusts, again.asking, again.current.version], [{ root: 7, epoch: 2, sequence: 0 }, null, 1]);
});

test("decisions follow the policy", () => {
  const policy = { askUser: true, askedADay: 1, marginPpm: 300_000, otherPpm: 1_000, unsurePpm: 200_000 };
  assert.deepEqual(decide(policy, 0.5, 0.4, 199_999, 0), { send: true, ask: true, rate: 0.2 });
  assert.deepEqual(decide(policy, 0.5, 0.4, 199_999, 1), { send: true, ask: false, rate: 0.2 });
  assert.deepEqual(decide(policy, 0.5, 0.4, 200_000, 0), { send: false, ask: false, rate: 0.2 });
  assert.deepEqual(decide(policy, 0.9, 0.1, 999, 0), { send: true, ask: false, rate: 0.001 });
  assert.deepEqual(twoBest([0.1, 0.4, 0, 0, 0.4, 0, 0, 0.1, 0, 0]), { digit: 1, share: 0.4, second: 4, secondShare: 0.4 });
  const lots = Array.from({ length: 1000 }, drawLot);
  assert.ok(lots.every((lot) => Number.isInteger(lot) && lot >= 0 && lot < 1_000_000) && new Set(lots).size > 900);
});

test("a drawing is decided about once, is asked about once, and its day has its questions", async () => {
  const publisher = await Publisher.make();
  await publisher.publish(1);
  const { phone, store } = await phoneAt(publisher);
  const [unsure, sure] = [[0.5, 0.5, 0, 0, 0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]];
  const drawn = (seed) => new Uint8Array(784).fill(seed);
  await phone.sync();
  assert.deepEqual([(await phone.consider(drawn(1), unsure)).unsure, await store.get("decided.json")], [null, null]);
  await publisher.ask({ unsure_ppm: 1_000_000, other_ppm: 0, asked_a_day: 2 });
  await phone.sync();
  const asked = [];
  for (const seed of [1, 2, 3, 1]) asked.push(await phone.consider(drawn(seed), unsure));
  assert.deepEqual(asked.map(({ send, askNow, rate, known }) => [send, askNow, rate, known]), [
    [true, true, 1, false], [true, true, 1, false], [true, false, 1, false], [true, false, 1, true]]);
  assert.equal((await phone.consider(drawn(4), sure)).send, false);
  const { phone: later } = await phoneAt(publisher, store);
  assert.equal((await later.consider(drawn(1), unsure)).known, true);
  publisher.now = new Date(publisher.now.getTime() + 22 * 3_600_000); // the next UTC day
  assert.equal((await later.consider(drawn(5), unsure)).askNow, true);
  assert.equal(await rule(() => later.consider(drawn(6), [1, 1])), "BadField");
});

test("without Ed25519 a hook verifies; without both it says so", async () => {
  const publisher = await Publisher.make();
  await publisher.publish(1);
  const { webCryptography } = await import("../src/index.js");
  const calls = [];
  const verify = (signature, message, key) => calls.push([signature.length, key.length]) > 0;
  const services = { cryptography: webCryptography({ verify }), fetch: shelf(publisher.files), clock: { now: () => publisher.now, uptime: () => 0 } };
  const phone = await LoopPhone.open({ site: SITE, root: publisher.root, store: new MemoryStore(), services, loadModel });
  assert.equal((await phone.sync()).current.version, 1);
  assert.ok(calls.every(([signature, key]) => signature === 64 && key === 32) && calls.length >= 3);
  const importKey = crypto.subtle.importKey;
  crypto.subtle.importKey = () => Promise.reject(new DOMException("Unrecognized name.", "NotSupportedError"));
  try {
    assert.equal(await rule(() => phoneAt(publisher)), "Unsupported");
  } finally {
    crypto.subtle.importKey = importKey;
  }
});

test("control: the publisher's own seal is what the phone checks", async () => {
  const publisher = await Publisher.make();
  await publisher.publish(1);
  publisher.root = await seal({ type: "root" }, publisher.rootKey);
  assert.equal(await rule(() => phoneAt(publisher)), "UnknownFormat");
});
