// A life at the real API: tests/clients/test_js_live.py starts the server, and runs this in Node and in a browser.

import { LoopOutbox, LoopPhone, StoredSecret, asked, confirmation, correction, drawing, normalise, picture } from "../src/index.js";
import { recorded } from "./checks.js";

/** Words about drawings that differ. */
const drawn = (seed) => normalise(picture([[[0, 0], [30 + seed, 5], [10, 60 + 3 * seed]]], 9));
const said = (seed, label, key) => correction(drawn(seed), { label, predicted: 8, confidence: 0.5, version: 1, key });

/** Sync, upload alone and as a batch, change one's mind, take back, ask what became of it, erase. What happened, as plain JSON. */
export async function life({ url, key, root, models, stores }) {
  const options = { site: `${url}/v1`, root, store: stores[0], loadModel: recorded(models) };
  const phone = await LoopPhone.open(options);
  const first = await phone.sync();
  const second = await (await LoopPhone.open(options)).sync();
  const loaded = await phone.model();
  const synced = [first.installed, second.installed, loaded.held.version, phone.confirmRate, second.askingWhy];

  const outbox = new LoopOutbox({ api: url, key, store: stores[1] });
  await outbox.add(said(1, 7, "one"));
  const alone = await outbox.upload();
  for (const seed of [2, 3]) await outbox.add(said(seed, seed, `key-${seed}`));
  const agreed = { predicted: 4, confidence: 0.9, version: 1, rate: phone.confirmRate, key: "agreed" };
  await outbox.add(confirmation(drawn(4), agreed));
  await outbox.add(said(2, 5, "relabelled")); // the user changes their mind
  const batch = await outbox.upload();
  const probabilities = [0.02, 0.5, 0, 0, 0, 0, 0, 0.48, 0, 0];
  const [one, two] = [await phone.consider(drawn(6), probabilities), await phone.consider(drawn(7), probabilities)];
  const decisions = [one.askNow, two.send, two.askNow];
  await outbox.add(asked(drawn(6), { label: 7, predicted: 1, confidence: 0.5, version: 1, rate: one.rate }));
  await outbox.add(drawing(drawn(7), { probabilities, rate: two.rate, version: 1 }));
  const more = await outbox.upload();
  const undone = await outbox.undo("key-3");
  const { corrections } = await outbox.history();
  const became = corrections.map(({ label, kind, status }) => `${kind} ${label} ${status}`).sort();

  const secret = await new StoredSecret(stores[1]).secret();
  const stranger = new LoopOutbox({ api: url, key: "loop_app_unknown", store: stores[2] });
  await stranger.add(said(1, 7, "stranger"));
  const unknown = await stranger.upload();

  const erased = await outbox.erase();
  const left = (await outbox.history()).corrections.length;
  const other = await new StoredSecret(stores[1]).secret();
  return {
    synced, alone: alone.accepted.length, batch: batch.accepted.length, more: more.accepted.length,
    decisions, refused: [...alone.refused, ...batch.refused, ...more.refused],
    undone: undone.withdrawn, became, unknown: [unknown.accepted.length, unknown.waiting], erased: erased.uploads, left,
    newSource: secret !== other,
  };
}

/** Uploads beyond a quota of one a minute: what waits, why, and for how many seconds; and how many requests that cost. */
export async function pressed({ url, key, store }) {
  let requests = 0;
  const counted = (...request) => {
    requests += 1;
    return fetch(...request);
  };
  const outbox = new LoopOutbox({ api: url, key, store, services: { fetch: counted } });
  const sent = [];
  for (const seed of [1, 2]) {
    await outbox.add(said(seed, 7, `pressed-${seed}`));
    sent.push(await outbox.upload());
  }
  const again = await outbox.upload();
  const seconds = (sent[1].notBefore.getTime() - Date.now()) / 1000;
  return {
    accepted: sent.map(({ accepted }) => accepted.length), waiting: again.waiting, requests, inAMinute: seconds > 0 && seconds <= 61,
    said: sent[1].why !== null,
  };
}
