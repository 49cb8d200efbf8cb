// Points in the cells of a grid: what is near the pointer, and what lies in a rectangle, without reading every point.

import type { Bounds } from "./camera";

export class Grid {
  readonly bounds: Bounds;
  readonly #side: number;
  readonly #start: Uint32Array; // [cells + 1] where each cell's rows begin
  readonly #rows: Uint32Array; // rows, cell by cell

  /** Points without coordinates (NaN) are in no cell. */
  constructor(
    readonly x: Float32Array,
    readonly y: Float32Array,
  ) {
    const n = x.length;
    this.bounds = boundsOf(x, y);
    const side = (this.#side = Math.max(1, Math.min(512, Math.ceil(Math.sqrt(n / 3)))));
    const cell = new Int32Array(n);
    const start = (this.#start = new Uint32Array(side * side + 1));
    for (let i = 0; i < n; i++) {
      cell[i] = Number.isFinite(x[i]!) && Number.isFinite(y[i]!) ? this.#row(y[i]!) * side + this.#column(x[i]!) : -1;
      if (cell[i]! >= 0) start[cell[i]! + 1]!++;
    }
    for (let c = 0; c < side * side; c++) start[c + 1]! += start[c]!;
    const rows = (this.#rows = new Uint32Array(start[side * side]!));
    const next = start.slice();
    for (let i = 0; i < n; i++) if (cell[i]! >= 0) rows[next[cell[i]!]!++] = i;
  }

  /** How many points have a place. */
  get placed(): number {
    return this.#rows.length;
  }

  #column = (x: number): number => place(x, this.bounds.x0, this.bounds.x1, this.#side);
  #row = (y: number): number => place(y, this.bounds.y0, this.bounds.y1, this.#side);

  /** Call with every row in the rectangle; stops early where the call answers false. */
  within({ x0, y0, x1, y1 }: Bounds, call: (row: number) => boolean | void): void {
    const b = this.bounds;
    if (x1 < b.x0 || x0 > b.x1 || y1 < b.y0 || y0 > b.y1) return;
    const [c0, c1, r0, r1] = [this.#column(x0), this.#column(x1), this.#row(y0), this.#row(y1)];
    for (let r = r0; r <= r1; r++) {
      const from = this.#start[r * this.#side + c0]!;
      const to = this.#start[r * this.#side + c1 + 1]!; // the cells of a row lie one behind the other
      for (let k = from; k < to; k++) {
        const i = this.#rows[k]!;
        const [x, y] = [this.x[i]!, this.y[i]!];
        if (x >= x0 && x <= x1 && y >= y0 && y <= y1 && call(i) === false) return;
      }
    }
  }

  /** The nearest row to a place within a radius, of those that pass; -1 if none. */
  nearest(x: number, y: number, radius: number, passes: (row: number) => boolean): number {
    let best = -1;
    let least = radius * radius;
    this.within({ x0: x - radius, y0: y - radius, x1: x + radius, y1: y + radius }, (i) => {
      const far = (this.x[i]! - x) ** 2 + (this.y[i]! - y) ** 2;
      if (far <= least && passes(i)) [best, least] = [i, far];
    });
    return best;
  }

  /** Rows inside a closed polygon [x0, y0, x1, y1, ...], of those that pass. */
  inside(polygon: number[], passes: (row: number) => boolean): Uint32Array {
    const found: number[] = [];
    const box: Bounds = { x0: Infinity, y0: Infinity, x1: -Infinity, y1: -Infinity };
    for (let k = 0; k < polygon.length; k += 2) {
      box.x0 = Math.min(box.x0, polygon[k]!);
      box.x1 = Math.max(box.x1, polygon[k]!);
      box.y0 = Math.min(box.y0, polygon[k + 1]!);
      box.y1 = Math.max(box.y1, polygon[k + 1]!);
    }
    this.within(box, (i) => {
      if (passes(i) && contains(polygon, this.x[i]!, this.y[i]!)) found.push(i);
    });
    return Uint32Array.from(found).sort();
  }
}

function place(v: number, low: number, high: number, side: number): number {
  return Math.max(0, Math.min(side - 1, Math.floor(((v - low) / (high - low || 1)) * side)));
}

export function boundsOf(x: Float32Array, y: Float32Array): Bounds {
  const b = { x0: Infinity, y0: Infinity, x1: -Infinity, y1: -Infinity };
  for (let i = 0; i < x.length; i++) {
    if (x[i]! < b.x0) b.x0 = x[i]!;
    if (x[i]! > b.x1) b.x1 = x[i]!;
    if (y[i]! < b.y0) b.y0 = y[i]!;
    if (y[i]! > b.y1) b.y1 = y[i]!;
  }
  return b.x0 <= b.x1 ? b : { x0: -1, y0: -1, x1: 1, y1: 1 };
}

/** Even-odd rule. */
export function contains(polygon: number[], x: number, y: number): boolean {
  let inside = false;
  for (let i = 0, j = polygon.length - 2; i < polygon.length; j = i, i += 2) {
    const [xi, yi, xj, yj] = [polygon[i]!, polygon[i + 1]!, polygon[j]!, polygon[j + 1]!];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}
