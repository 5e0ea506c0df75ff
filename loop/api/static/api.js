// Requests to this server's API; its refusals are RFC 9457 problem documents.

import { keyFor } from "./keys.js";

const PATIENCE_MS = 30_000;

/** A refusal. `status` is 0 if the server did not answer, `wait` the seconds until a retry, `type` the URN of the rule. */
export class Problem extends Error {
  constructor(status, detail, wait = 0, type = "") {
    super(detail);
    this.status = status;
    this.wait = wait;
    this.type = type;
  }
}

/** Ask with a key of one of `roles` (the first that is held); the answer's JSON. Throws `Problem`. */
export async function call(method, path, { roles, body = null, headers = {} }) {
  const key = keyFor(roles);
  if (key === null) throw new Problem(401, `this needs a key of role ${roles.join(" or ")}`);
  const response = await reached(path, { method, body, headers: { ...headers, Authorization: `Bearer ${key}` } });
  if (!response.ok) throw await refusal(response);
  return response.json();
}

export const json = (value) => ({ body: JSON.stringify(value), headers: { "Content-Type": "application/json" } });

async function reached(path, options) {
  const calm = { ...options, signal: AbortSignal.timeout(PATIENCE_MS), cache: "no-store", credentials: "omit", redirect: "error" };
  try {
    return await fetch(path, calm);
  } catch {
    throw new Problem(0, "the server does not answer");
  }
}

async function refusal(response) {
  const wait = Number(response.headers.get("Retry-After")) || 0;
  const told = await response.json().catch(() => ({}));
  return new Problem(response.status, String(told.detail ?? response.statusText ?? response.status), wait, told.type);
}
