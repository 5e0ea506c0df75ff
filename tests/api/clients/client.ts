// What an app developer writes with the types that openapi-typescript makes. Prints one JSON object for the test.

import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

declare const process: { argv: string[] };

type Problem = components["schemas"]["Problem"];
const [baseUrl = "", appKey = "", reviewerKey = "", secret = "", image = ""] = process.argv.slice(2);
const bearer = (key: string) => ({ Authorization: `Bearer ${key}` });
const app = createClient<paths>({ baseUrl, headers: { ...bearer(appKey), "Loop-Source": secret } });
const reviewer = createClient<paths>({ baseUrl, headers: bearer(reviewerKey) });

/** What an outbox does with a refusal. The compiler knows every type: a misspelt one does not compile. */
function next(problem: Problem | undefined): string {
  if (problem === undefined) return "drop: it is on disk";
  switch (problem.type) {
    case "urn:digit-loop:split-batch": return "split";
    case "urn:digit-loop:image-too-large": return "scale down";
    case "urn:digit-loop:quota-spent": return `wait ${problem.retry_after ?? 60} s`;
    default: return `refused: ${problem.type}`;
  }
}

const body = { image, label: 4, predicted: 9, kind: "correction", rate: 1 } as const;
const header = { "Idempotency-Key": "one" };
const first = await app.POST("/v1/corrections", { params: { header }, body });
const again = await app.POST("/v1/corrections", { params: { header }, body });
const wrong = await app.POST("/v1/corrections", { body: { ...body, label: 17 } });
const batch = await app.POST("/v1/corrections:batch", {
  body: { corrections: [{ ...body, label: 5, key: "two" }, { ...body, label: 12, key: "three" }] },
});
const empty = await app.POST("/v1/corrections:batch", { body: { corrections: [] } });
const feed = await app.GET("/v1/feed");
const release = feed.data?.signed.channels["cnn.mlmodel"];
const name = release?.digest ?? "";
const model = await app.GET("/v1/models/{name}", { params: { path: { name } }, parseAs: "arrayBuffer" });
const golden = await app.GET("/v1/golden/{name}", { params: { path: { name: release?.golden.digest ?? "" } } });
const root = await app.GET("/v1/root/{name}", { params: { path: { name: "1.json" } } });
const versions = await reviewer.GET("/v1/versions", { params: { query: { limit: 10 } } });
const bytes = Uint8Array.from(atob(image), (letter) => letter.charCodeAt(0));
const read = await app.POST("/v1/predictions", {
  body: "",
  bodySerializer: () => bytes,
  headers: { "Content-Type": "application/octet-stream" },
});

console.log(JSON.stringify({
  first: first.data?.id,
  again: again.data?.id,
  replayed: again.response.headers.get("Idempotency-Replayed"),
  received_at: first.data?.received_at,
  wrong: next(wrong.error),
  batch: batch.data?.answers.map((each) => [each.status, next(each.problem ?? undefined)]),
  empty: next(empty.error),
  version: release?.version,
  model: model.data?.byteLength,
  length: release?.length,
  golden: golden.data?.model === release?.digest,
  root: root.data?.signed.version,
  versions: versions.data?.map((each) => [each.number, each.alias]),
  read: read.data?.probabilities.length,
}));
