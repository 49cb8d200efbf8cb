// A camera that moves to its goal in a quarter of a second, or at once for who wants no motion.

import type { Camera } from "./camera";

const LASTS = 260; // ms

export class Flight {
  #frame = 0;

  constructor(
    readonly camera: Camera,
    readonly moved: () => void,
  ) {}

  to(x: number, y: number, scale: number): void {
    cancelAnimationFrame(this.#frame);
    const c = this.camera;
    const from = { x: c.x, y: c.y, scale: c.scale };
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const began = performance.now();
    const step = (): void => {
      const t = still ? 1 : Math.min(1, (performance.now() - began) / LASTS);
      const e = 1 - (1 - t) ** 3;
      c.scale = from.scale * (scale / from.scale) ** e;
      [c.x, c.y] = [from.x + (x - from.x) * e, from.y + (y - from.y) * e];
      this.moved();
      if (t < 1) this.#frame = requestAnimationFrame(step);
    };
    step();
  }
}
