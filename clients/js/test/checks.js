// What every vector demands (docs/vectors.md), for Node and browsers alike: each function returns what differs.

import { fromBase64, hex, utf8 } from "../src/bytes.js";
import { requireShallow } from "../src/canonical.js";
import { reproduces } from "../src/selftest.js";
import { acceptAsking, begin, follow } from "../src/trust.js";
import { parseTime, timeText } from "../src/times.js";
import { bucket, decide, LoopError, LoopPhone, MemoryStore, normalise, picture, png, sourceName, tiles, twoBest, webCryptography } from "../src/index.js";

export const cryptography = webCryptography();
export const SITE = "https://cdn.example/digits";

export const digest = async (bytes) => hex(await cryptography.sha256(bytes));
const equal = (one, other) => one === other || (one?.length === other?.length && one?.every?.((each, i) => each === other[i]));

/** The levels of pairs of bytes in base64: how often, and which level. */
export function pixels(runs) {
  const pairs = fromBase64(runs);
  const levels = [];
  for (let i = 0; i < pairs.length; i += 2) for (let k = 0; k < pairs[i]; k++) levels.push(pairs[i + 1]);
  return Uint8Array.from(levels);
}

/** The broken rule, or null. */
export async function rule(work) {
  try {
    await work();
    return null;
  } catch (thrown) {
    if (thrown instanceof LoopError) return thrown.rule;
    throw thrown;
  }
}

export async function pictures(vectors) {
  const wrong = [];
  for (const [i, vector] of vectors.entries()) {
    const given = { width: vector.width, height: vector.height, grey: pixels(vector.grey) };
    let found = null;
    const broken = await rule(() => { found = normalise(given); });
    const expected = vector.pixels === null ? null : pixels(vector.pixels);
    if (!equal(found, expected) || (expected === null) !== (broken === "BadImage")) wrong.push(`picture ${i}`);
    const near = vector.tiles === null || tiles(given).every((share, k) => Math.abs(share - vector.tiles[k]) < 1e-8);
    if (!near) wrong.push(`tiles ${i}`);
  }
  return wrong;
}

export async function strokes(vectors) {
  const wrong = [];
  for (const [i, vector] of vectors.entries()) {
    const canvas = picture(vector.strokes, vector.pen);
    if ((await digest(canvas.grey)) !== vector.canvas) wrong.push(`canvas ${i}`);
    if (!equal(normalise(canvas), pixels(vector.pixels))) wrong.push(`drawing ${i}`);
  }
  return wrong;
}

export async function small(vectors) {
  const wrong = [];
  for (const { secret, source } of vectors.sources) if ((await sourceName(secret)) !== source) wrong.push(`source ${source}`);
  for (const each of vectors.buckets) {
    if ((await bucket(each.device, each.digest, cryptography)) !== each.bucket) wrong.push(`bucket ${each.device}`);
  }
  for (const { text, seconds } of vectors.times) {
    const time = parseTime(text);
    const same = time === null ? seconds === null : time.getTime() === 1000 * seconds && timeText(time) === text;
    if (!same) wrong.push(`time ${text}`);
  }
  if (!equal(png(pixels(vectors.png.pixels), 28), fromBase64(vectors.png.file))) wrong.push("png");
  return wrong;
}

/** The two best of ten, decisions about drawings, and asking policies good and bad. */
export async function asking(vectors) {
  const wrong = [];
  for (const [i, { probabilities, best }] of vectors.two_best.entries()) {
    let found = null;
    await rule(() => { found = twoBest(probabilities); });
    const same = best === null ? found === null : equal(
      [found?.digit, found?.share, found?.second, found?.secondShare], [best.digit, best.share, best.second, best.second_share]);
    if (!same) wrong.push(`two best ${i}`);
  }
  for (const [i, each] of vectors.decisions.entries()) {
    const found = decide(policyOf(vectors.policies[each.policy]), each.best, each.second, each.lot, each.asked_today);
    if (found.send !== each.send || found.ask !== each.ask || found.rate !== each.rate) wrong.push(`decision ${i}`);
  }
  for (const each of vectors.documents) {
    let trusted = null;
    for (const data of vectors.roots[each.chain].map(file)) {
      trusted = trusted === null ? await begin(data, cryptography) : await follow(trusted, data, cryptography);
    }
    let seen = null;
    const broken = await rule(async () => {
      ({ seen } = await acceptAsking(trusted, each.seen, file(each.file), parseTime(each.now), cryptography));
    });
    const after = each.seen_after;
    const same = after === null ? seen === null : equal([seen?.epoch, seen?.sequence, seen?.digest], [after.epoch, after.sequence, after.digest]);
    if (broken !== each.refusal || !same) wrong.push(`${each.name}: expected ${each.refusal}, got ${broken}`);
  }
  return wrong;
}

/** Golden files good and bad, of one model. */
export async function golden({ digest: named, model, files }) {
  const wrong = [];
  const loaded = { metadata: model.metadata, probabilities: async (seen) => model.answers[await digest(seen)] };
  for (const each of files) {
    const data = file(each.file);
    const broken = await rule(async () => {
      requireShallow(data);
      await reproduces(loaded, data, named);
    });
    if (broken !== each.refusal) wrong.push(`${each.name}: expected ${each.refusal}, got ${broken}`);
  }
  return wrong;
}

const policyOf = (plain) => ({
  marginPpm: plain.margin_ppm, unsurePpm: plain.unsure_ppm, otherPpm: plain.other_ppm, askUser: plain.ask_user, askedADay: plain.asked_a_day,
});

/** The bytes of a file of feed.json: texts in which each character is one byte; [text, n] is a text n times. */
export function file(parts) {
  const text = parts.map((part) => (typeof part === "string" ? part : part[0].repeat(part[1]))).join("");
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

/** Loads the models that were recorded, by their digest. */
export const recorded = (models) => async (data) => {
  const model = models[await digest(data)];
  if (model === undefined) throw new Error("expected a recorded model");
  return {
    metadata: model.metadata,
    probabilities: async (seen) => model.answers[await digest(seen)] ?? (seen.every((level) => level === 0) ? Array(10).fill(0.1) : null),
  };
};

/** A server's files in memory. */
export function shelf(files) {
  return async (url, init) => {
    const data = files[url.slice(SITE.length + 1)];
    if (data === undefined) return new Response(null, { status: 404 });
    const range = /^bytes=(\d+)-$/.exec(new Headers(init.headers).get("Range") ?? "");
    if (range === null) return new Response(data);
    const headers = { "Content-Range": `bytes ${range[1]}-${data.length - 1}/${data.length}` };
    return new Response(data.subarray(Number(range[1])), { status: 206, headers });
  };
}

/** Devices follow the publishers of feed.json, honest and attacked, as the Python client does. */
export async function feeds(vectors) {
  const wrong = [];
  for (const scenario of [...vectors.scenarios, ...vectors.updates]) wrong.push(...(await play(scenario, vectors)));
  return wrong;
}

async function play(scenario, vectors) {
  const wrong = [];
  const [store, held] = [new MemoryStore(), { files: {}, now: new Date(0) }];
  const services = { fetch: (...request) => shelf(held.files)(...request), clock: { now: () => held.now, uptime: () => 0 } };
  let [phone, built] = [null, null];
  for (const [number, step] of scenario.steps.entries()) {
    const name = step.built_in ?? scenario.root;
    const root = file(vectors.files[name]);
    if (name !== built) phone = await LoopPhone.open({ site: SITE, root, store, services, loadModel: recorded(vectors.models) });
    built = name;
    held.now = parseTime(step.now);
    held.files = Object.fromEntries(Object.entries(step.files).map(([path, name]) => [path, file(vectors.files[name])]));
    const broken = await rule(() => phone.sync());
    const again = await LoopPhone.open({ site: SITE, root, store, services, loadModel: recorded(vectors.models) });
    for (const device of [phone, again]) {
      const found = [broken, device.trusts.root, device.trusts.epoch, device.trusts.sequence, device.current?.version ?? null];
      const expected = [step.refusal, step.root, step.epoch, step.sequence, step.current];
      if (!equal(found, expected)) wrong.push(`${scenario.name}, step ${number}: expected ${expected}, got ${found}`);
    }
    if (((await again.model())?.held.version ?? null) !== step.current) wrong.push(`${scenario.name}, step ${number}: another model loads`);
    wrong.push(...(await leftovers(scenario.name, number, step, store)));
  }
  return wrong;
}

/** Nothing of an attack stays: the models in the store are those that the device runs or ran before. */
async function leftovers(name, number, step, store) {
  const state = JSON.parse(new TextDecoder().decode(await store.get("state.json")));
  const previous = state.previous?.version ?? null;
  const wrong = previous === step.previous ? [] : [`${name}, step ${number}: expected previous ${step.previous}, got ${previous}`];
  const named = [state.current, state.previous].filter(Boolean).map((held) => `models/${held.digest}.mlmodel`);
  const kept = await store.names("models/");
  if (!kept.every((each) => named.includes(each))) wrong.push(`${name}, step ${number}: a model of the attack is kept`);
  return wrong;
}

/** Whether the platform verifies an honest root, and refuses one with a changed byte. */
export async function ed25519(vectors) {
  const honest = file(vectors.files[vectors.scenarios[0].root]);
  const changed = file(vectors.files[vectors.scenarios[0].root]);
  const at = new TextDecoder("latin1").decode(changed).indexOf('"issued":"20') + '"issued":"20'.length;
  changed[at] ^= 1;
  const broken = await rule(() => begin(changed, cryptography));
  return (await rule(() => begin(honest, cryptography))) === null && broken === "TooFewSignatures" ? [] : [`got ${broken}`];
}

export const every = { pictures, strokes, small, feeds, asking, golden };
export { utf8 };
