/** Numbers and times as people read them. */

const counts = new Intl.NumberFormat("en");
const moments = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "medium" });

/** @param {number | null | undefined} value */
export const count = (value) => (value == null ? "–" : counts.format(value));

/** "1 turn", "3 turns". @param {number} value @param {string} word */
export const plural = (value, word) => `${counts.format(value)} ${word}${value === 1 ? "" : /ch$/.test(word) ? "es" : "s"}`;

/** A moment in the reader's own time zone. @param {number} seconds since 1970 */
export const moment = (seconds) => moments.format(seconds * 1000);

/** How long ago a moment was, short. @param {number} seconds since 1970 @param {number} [now] in milliseconds */
export function ago(seconds, now = Date.now()) {
  const past = Math.max(0, now / 1000 - seconds);
  if (past < 45) return "just now";
  if (past < 3600) return `${Math.max(1, Math.round(past / 60))} min ago`;
  if (past < 86400) return `${Math.round(past / 3600)} h ago`;
  if (past < 86400 * 30) return plural(Math.round(past / 86400), "day") + " ago";
  return new Intl.DateTimeFormat("en", { dateStyle: "medium" }).format(seconds * 1000);
}

/** @param {number} seconds */
export function duration(seconds) {
  if (seconds < 1) return "under 1 s";
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 && seconds % 1 ? 1 : 0)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

/** The words for a status. @param {string} status */
export const statusWords = (status) =>
  ({ in_progress: "writing", queued: "waiting", completed: "completed", incomplete: "cut short" })[status] ?? status;

/** The first part of an id, which is enough for the eye. @param {string} id */
export const shortId = (id) => (id.length > 22 ? `${id.slice(0, id.search(/[_-]/) + 1)}…${id.slice(-14, -4)}` : id);
