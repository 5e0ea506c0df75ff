// The drawing pad: strokes by mouse, finger, pen or keyboard, as lists of points from 0 to 1.

export const PEN = 0.045; // the pen's radius, as a share of the side
const STEP = 0.04; // of the side, per arrow key
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Pad {
  strokes = [];
  #canvas;
  #changed;
  #pen = { at: [0.5, 0.2], down: false, shown: false };

  /** Calls `changed(ended)` for every point; `ended` is true when the pen was lifted. */
  constructor(canvas, changed) {
    this.#canvas = canvas;
    this.#changed = (ended) => { this.#paint(); changed(ended); };
    canvas.addEventListener("pointerdown", (event) => this.#begin(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => this.#changed(true));
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("blur", () => { this.#pen.down = this.#pen.shown = false; this.#paint(); });
    new ResizeObserver(() => this.#paint()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#paint());
  }

  clear() {
    this.strokes = [];
    this.#changed(true);
  }

  undo() {
    this.strokes.pop();
    this.#changed(true);
  }

  #begin(event) {
    if (event.button !== 0) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.strokes.push([this.#point(event)]);
    this.#changed(false);
  }

  #move(event) {
    if (!this.#canvas.hasPointerCapture(event.pointerId)) return;
    const passed = event.getCoalescedEvents?.() ?? [];
    this.strokes.at(-1).push(...(passed.length ? passed : [event]).map((each) => this.#point(each)));
    this.#changed(false);
  }

  #point(event) {
    const box = this.#canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  #key(event) {
    const pen = this.#pen;
    if (event.key === " ") {
      pen.down = !pen.down;
      if (pen.down) this.strokes.push([pen.at]);
    } else if (event.key in ARROWS) {
      pen.at = pen.at.map((share, axis) => Math.min(1, Math.max(0, share + STEP * ARROWS[event.key][axis])));
      if (pen.down) this.strokes.at(-1).push(pen.at);
    } else if (event.key === "Backspace") {
      this.strokes.pop();
      pen.down = false;
    } else return;
    event.preventDefault();
    pen.shown = true;
    this.#changed(!pen.down);
  }

  #paint() {
    const side = Math.round(this.#canvas.clientWidth * devicePixelRatio);
    if (this.#canvas.width !== side) this.#canvas.width = this.#canvas.height = side;
    const to = this.#canvas.getContext("2d");
    to.clearRect(0, 0, side, side);
    to.lineCap = to.lineJoin = "round";
    to.lineWidth = 2 * PEN * side;
    to.strokeStyle = to.fillStyle = getComputedStyle(this.#canvas).color;
    for (const stroke of this.strokes) {
      to.beginPath();
      for (const [x, y] of [stroke[0], ...stroke]) to.lineTo(x * side, y * side);
      to.stroke();
    }
    if (this.#pen.shown) this.#cursor(to, side);
  }

  #cursor(to, side) {
    const [x, y] = this.#pen.at;
    to.beginPath();
    to.arc(x * side, y * side, PEN * side, 0, 2 * Math.PI);
    to.lineWidth = 2 * devicePixelRatio;
    to.strokeStyle = getComputedStyle(this.#canvas).accentColor;
    to.stroke();
  }
}
