// Requests to this server's API; its refusals are RFC 9457 problem documents.

import { keyFor } from "./keys.js";

const TIMEOUT_MS = 30_000;

/** A refusal. `status` is 0 if the server did not answer, `wait` the seconds until a retry, `type` the URN of the rule. */
export class Problem extends Error {
  constructor(status, detail, wait = 0, type = "") {
    super(detail);
    this.status = status;
    this.wait = wait;
    this.type = type;
  }
}

/**
 * Send a request with `key`, or the first available key of `roles`; the JSON of the answer. Throws `Problem`.
 * A request with `keepalive` goes on after its page is left.
 */
export async function call(method, path, { roles, key: given = null, body = null, headers = {}, keepalive = false }) {
  const key = given ?? keyFor(roles);
  if (key === null) throw new Problem(401, `this needs a key of role ${roles.join(" or ")}`);
  const response = await send(path, { method, body, keepalive, headers: { ...headers, Authorization: `Bearer ${key}` } });
  if (!response.ok) throw await refusal(response);
  return response.json().catch(() => {
    throw new Problem(0, "the server did not finish its answer");
  });
}

export const json = (value) => ({ body: JSON.stringify(value), headers: { "Content-Type": "application/json" } });

async function send(path, options) {
  const limited = { ...options, signal: AbortSignal.timeout(TIMEOUT_MS), cache: "no-store", credentials: "omit", redirect: "error" };
  try {
    return await fetch(path, limited);
  } catch {
    throw new Problem(0, "the server does not answer");
  }
}

async function refusal(response) {
  const wait = Number(response.headers.get("Retry-After")) || 0;
  const document = await response.json().catch(() => ({}));
  return new Problem(response.status, String(document.detail ?? response.statusText ?? response.status), wait, document.type);
}
