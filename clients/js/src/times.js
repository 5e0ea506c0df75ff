// Times as documents have them: UTC, whole seconds, 2026-05-03T03:00:00Z.

const FORM = /^[1-9]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

/** Null for any other text. @param {unknown} text */
export function parseTime(text) {
  if (typeof text !== "string" || !FORM.test(text)) return null;
  const time = new Date(text);
  return !Number.isNaN(time.getTime()) && timeText(time) === text ? time : null;
}

/** @param {Date} time */
export const timeText = (time) => `${time.toISOString().slice(0, 19)}Z`;
