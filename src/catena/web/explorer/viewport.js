/** What part of a picture is seen, and how large: moved by wheel, drag, pinch and keys. It draws nothing. */

const LEAST = 0.25;
const MOST = 1.6;

export class Viewport {
  /** @param {HTMLElement} frame @param {(view: Viewport) => void} changed is told at most once a frame */
  constructor(frame, changed) {
    this.frame = frame;
    this.x = 0;
    this.y = 0;
    this.scale = 1;
    /** @type {(direction: number) => boolean} asked when the scale is at its end; true when something was done */
    this.beyond = () => false;
    this.dragged = false;
    this.#changed = changed;
    this.#listen();
    new ResizeObserver(() => this.#tell()).observe(frame);
  }

  #changed;
  #waiting = 0;
  /** @type {Map<number, {x: number, y: number}>} */
  #fingers = new Map();

  /** The part of the world that is seen. */
  get visible() {
    const { clientWidth, clientHeight } = this.frame;
    return {
      left: -this.x / this.scale,
      top: -this.y / this.scale,
      right: (clientWidth - this.x) / this.scale,
      bottom: (clientHeight - this.y) / this.scale,
    };
  }

  /** @param {number} x @param {number} y the world's origin, in the frame @param {number} [scale] */
  set(x, y, scale = this.scale) {
    this.x = x;
    this.y = y;
    this.scale = Math.min(MOST, Math.max(LEAST, scale));
    this.#tell();
  }

  /** @param {number} dx @param {number} dy */
  move(dx, dy) {
    this.set(this.x + dx, this.y + dy);
  }

  /** Larger or smaller, about a point of the frame. @param {number} factor @param {{x: number, y: number}} [about] */
  zoom(factor, about = { x: this.frame.clientWidth / 2, y: this.frame.clientHeight / 3 }) {
    const scale = Math.min(MOST, Math.max(LEAST, this.scale * factor));
    if (scale === this.scale && this.beyond(Math.sign(factor - 1))) return;
    const grown = scale / this.scale;
    this.set(about.x - (about.x - this.x) * grown, about.y - (about.y - this.y) * grown, scale);
  }

  /** Move no more than is needed to have a rectangle of the world in sight. @param {{left: number, top: number,
   *  right: number, bottom: number}} box @param {number} [margin] */
  reveal(box, margin = 24) {
    const seen = this.visible;
    const room = margin / this.scale;
    const dx = shift(box.left - room, box.right + room, seen.left, seen.right);
    const dy = shift(box.top - room, box.bottom + room, seen.top, seen.bottom);
    if (dx || dy) this.move(dx * this.scale, dy * this.scale);
  }

  #tell() {
    this.#waiting ||= requestAnimationFrame(() => {
      this.#waiting = 0;
      this.#changed(this);
    });
  }

  #listen() {
    this.frame.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.frame.addEventListener("pointerdown", (event) => this.#press(event));
    this.frame.addEventListener("pointermove", (event) => this.#drag(event));
    for (const name of ["pointerup", "pointercancel"])
      this.frame.addEventListener(name, (event) => {
        this.#fingers.delete(/** @type {PointerEvent} */ (event).pointerId);
        this.frame.classList.remove("dragging");
      });
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    event.preventDefault();
    const unit = event.deltaMode === 1 ? 16 : 1;
    if (event.ctrlKey || event.metaKey) {
      const box = this.frame.getBoundingClientRect();
      const about = { x: event.clientX - box.left, y: event.clientY - box.top };
      this.zoom(Math.exp((-event.deltaY * unit) / 240), about);
    } else if (event.shiftKey && !event.deltaX) this.move(-event.deltaY * unit, 0);
    else this.move(-event.deltaX * unit, -event.deltaY * unit);
  }

  /** @param {PointerEvent} event */
  #press(event) {
    if (event.button !== 0) return;
    this.#fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    this.dragged = false;
  }

  /** @param {PointerEvent} event */
  #drag(event) {
    const from = this.#fingers.get(event.pointerId);
    if (!from) return;
    const to = { x: event.clientX, y: event.clientY };
    if (!this.dragged && Math.hypot(to.x - from.x, to.y - from.y) < 5) return;
    if (!this.dragged) {
      this.dragged = true;
      this.frame.setPointerCapture(event.pointerId);
      this.frame.classList.add("dragging");
    }
    const other = [...this.#fingers].find(([id]) => id !== event.pointerId)?.[1];
    this.#fingers.set(event.pointerId, to);
    if (other) this.#pinch(from, to, other);
    else this.move(to.x - from.x, to.y - from.y);
  }

  /** @param {{x: number, y: number}} from @param {{x: number, y: number}} to @param {{x: number, y: number}} other */
  #pinch(from, to, other) {
    const box = this.frame.getBoundingClientRect();
    const about = { x: (to.x + other.x) / 2 - box.left, y: (to.y + other.y) / 2 - box.top };
    const before = Math.hypot(from.x - other.x, from.y - other.y) || 1;
    this.zoom(Math.hypot(to.x - other.x, to.y - other.y) / before, about);
    this.move((to.x - from.x) / 2, (to.y - from.y) / 2);
  }
}

/** @param {number} low @param {number} high @param {number} from @param {number} to */
function shift(low, high, from, to) {
  if (high - low > to - from || low < from) return from - low;
  return high > to ? to - high : 0;
}
