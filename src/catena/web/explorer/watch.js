/**
 * Looks for what is new, a few seconds apart, and only while the page is in sight. One small list tells whether the open
 * tree changed; only then is that asked for again.
 */

const CALM = 3000;
const TROUBLED = [3000, 6000, 12000, 24000];

/**
 * @param {() => Promise<void>} look rejects when the server cannot be asked
 * @param {(error: Error | null) => void} told what went wrong, or that all is well again
 * @returns {{soon: () => void}}
 */
export function watch(look, told) {
  let timer = 0;
  let failures = 0;
  let looking = false;

  async function once() {
    clearTimeout(timer);
    if (looking) return;
    looking = true;
    try {
      if (!document.hidden) await look();
      if (failures) told(null);
      failures = 0;
    } catch (error) {
      told(/** @type {Error} */ (error));
      failures += 1;
    }
    looking = false;
    timer = window.setTimeout(once, failures ? TROUBLED[Math.min(failures, TROUBLED.length) - 1] : CALM);
  }

  document.addEventListener("visibilitychange", () => !document.hidden && once());
  addEventListener("online", once);
  return { soon: once };
}
