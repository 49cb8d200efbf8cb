// Where the map is looked at from: the point in the middle and how many pixels a unit takes. y grows upwards on the map.

export interface Bounds {
  x0: number;
  y0: number;
  x1: number;
  y1: number;
}

export class Camera {
  x = 0;
  y = 0;
  scale = 100; // css pixels per unit
  width = 1;
  height = 1;
  #home = 100;
  #least = 10;
  #most = 1e6;

  /** Put the bounds into the window, below what lies over its upper edge; further zooms are measured from here. */
  fit(bounds: Bounds, padding = 36, above = 20): void {
    const w = Math.max(bounds.x1 - bounds.x0, 1e-6);
    const h = Math.max(bounds.y1 - bounds.y0, 1e-6);
    const free = { w: Math.max(40, this.width - 2 * padding), h: Math.max(40, this.height - 2 * padding - above) };
    this.#home = Math.min(free.w / w, free.h / h, 1e5);
    this.#least = this.#home / 4;
    this.#most = this.#home * 4000;
    this.x = (bounds.x0 + bounds.x1) / 2;
    this.y = (bounds.y0 + bounds.y1) / 2 + above / 2 / this.#home;
    this.scale = this.#home;
  }

  /** 1 where everything fits. */
  get zoom(): number {
    return this.scale / this.#home;
  }

  toScreen(x: number, y: number): [number, number] {
    return [this.width / 2 + (x - this.x) * this.scale, this.height / 2 - (y - this.y) * this.scale];
  }

  toMap(px: number, py: number): [number, number] {
    return [this.x + (px - this.width / 2) / this.scale, this.y - (py - this.height / 2) / this.scale];
  }

  pan(dx: number, dy: number): void {
    this.x -= dx / this.scale;
    this.y += dy / this.scale;
  }

  /** Zoom so that what lies under (px, py) stays there. */
  zoomAt(px: number, py: number, factor: number): void {
    const [x, y] = this.toMap(px, py);
    this.scale = Math.min(this.#most, Math.max(this.#least, this.scale * factor));
    const [nx, ny] = this.toMap(px, py);
    this.x += x - nx;
    this.y += y - ny;
  }

  get view(): Bounds {
    const [x0, y1] = this.toMap(0, 0);
    const [x1, y0] = this.toMap(this.width, this.height);
    return { x0, y0, x1, y1 };
  }
}
