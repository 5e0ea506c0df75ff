// One error for everything that this client refuses. The first rules are those of loop/feed/refusals.py.

/**
 * The broken rule. The feed's rules have the names of `loop/feed/refusals.py`; the last six are this client's own.
 *
 * @typedef {"Unavailable" | "TooSlow" | "TooLong" | "Truncated" | "NotCanonical" | "UnknownFormat" | "BadDocument"
 *   | "KeyMismatch" | "TooFewSignatures" | "KeyExpired" | "RootSkipped" | "EpochFell" | "RootWithheld" | "OtherEpoch"
 *   | "RolledBack" | "Equivocated" | "Expired" | "NoChannel" | "WrongDigest" | "WrongModel" | "DoesNotLoad"
 *   | "SelfTestFailed" | "StateUnreadable"
 *   | "DiskFull" | "Busy" | "NoSecret" | "BadImage" | "BadField" | "Unsupported"} Rule
 */

export class LoopError extends Error {
  /**
   * @param {Rule} rule Branch on this.
   * @param {string} detail What was expected and what was found; one line, for a log.
   */
  constructor(rule, detail) {
    super(`${rule}: ${detail}`);
    this.name = "LoopError";
    /** @readonly */
    this.rule = rule;
    /** @readonly */
    this.detail = detail;
  }
}

/** The text of anything that was thrown. @param {unknown} thrown */
export const reason = (thrown) => (thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown)).slice(0, 120);
