// What a point is at the moment, and in which order points are drawn: those filtered out lie at the bottom, the selected on
// top. Within a layer the order is drawn by lot, once, since rows often come sorted by class and the last would hide the rest.

export const ABSENT = 0; // no coordinates, or a picture stands in its place
export const OUT = 1; // does not match the filter
export const BACK = 2; // matches, while others are selected
export const PLAIN = 3;
export const CHOSEN = 4;

/** Opacity and size (as a factor) of each layer. */
export const LOOK: readonly [opacity: number, size: number][] = [
  [0, 0],
  [0.13, 0.8],
  [0.22, 0.85],
  [1, 1],
  [1, 1.25],
];

export class Layers {
  readonly state: Uint8Array;
  readonly order: Uint32Array;
  drawn = 0;
  readonly #lot: Uint32Array;

  constructor(n: number) {
    this.state = new Uint8Array(n);
    this.order = new Uint32Array(n);
    this.#lot = shuffled(n);
  }

  /** Sort rows by layer; `drawn` of them are to be drawn, in the order of `order`. */
  arrange(): void {
    const next = new Uint32Array(LOOK.length + 1);
    for (const s of this.state) next[s + 1]!++;
    const absent = next[1]!;
    for (let s = 1; s <= LOOK.length; s++) next[s]! += next[s - 1]!;
    for (const row of this.#lot) {
      const s = this.state[row]!;
      if (s !== ABSENT) this.order[next[s]!++ - absent] = row;
    }
    this.drawn = this.state.length - absent;
  }
}

/** 0..n-1 in an order that is the same on every visit (mulberry32). */
function shuffled(n: number): Uint32Array {
  const lot = Uint32Array.from({ length: n }, (_, i) => i);
  let seed = 7;
  for (let i = n - 1; i > 0; i--) {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    const j = ((t ^ (t >>> 14)) >>> 0) % (i + 1);
    [lot[i], lot[j]] = [lot[j]!, lot[i]!];
  }
  return lot;
}

/** Diameter of a point in css pixels and its opacity: many points are small and let others through, few are large. */
export function dot(n: number, zoom: number): { size: number; opacity: number } {
  const base = n <= 300 ? 9 : Math.max(2.2, 9 - 2.7 * (Math.log10(n) - 2.48));
  const size = Math.min(16, base * Math.max(0.8, zoom) ** 0.32);
  const opacity = Math.min(0.95, (n > 50_000 ? 0.5 : n > 5_000 ? 0.72 : 0.88) * Math.max(1, zoom) ** 0.25);
  return { size, opacity };
}
