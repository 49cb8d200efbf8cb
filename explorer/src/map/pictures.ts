// Pictures in place of dots, where few enough points are in the window. A picture is asked for by its item's id, so that
// a filter can never put one item's picture on another.

import type { Camera } from "./camera";
import { css, type Rgb } from "../palette";

const KEPT = 1500;
export const FEW = 220; // points in the window from which pictures are drawn

export interface Placed {
  row: number;
  px: number;
  py: number;
}

export class Pictures {
  readonly #images = new Map<string, HTMLImageElement>();

  constructor(
    readonly address: (id: string) => string,
    readonly arrived: () => void,
  ) {}

  /** The picture of an id once it is here. */
  get(id: string): HTMLImageElement | null {
    let image = this.#images.get(id);
    if (!image) {
      image = new Image();
      image.decoding = "async";
      image.addEventListener("load", this.arrived, { once: true });
      image.src = this.address(id);
      this.#images.set(id, image);
      if (this.#images.size > KEPT) this.#images.delete(this.#images.keys().next().value!);
    }
    return image.complete && image.naturalWidth ? image : null;
  }
}

/** Those of the points in the window whose pictures do not cover one another, and the side of a picture in pixels. */
export function chooseSpots(rows: number[], x: Float32Array, y: Float32Array, camera: Camera, most: number): { side: number; spots: Placed[] } {
  const side = Math.round(Math.min(most, Math.max(30, Math.sqrt((camera.width * camera.height) / Math.max(1, rows.length)) * 0.62)));
  const taken = new Map<string, Placed[]>();
  const spots: Placed[] = [];
  const cell = (v: number): number => Math.floor(v / side);
  for (const row of rows) {
    const [px, py] = camera.toScreen(x[row]!, y[row]!);
    const [c, r] = [cell(px), cell(py)];
    let free = true;
    for (let dc = -1; dc <= 1 && free; dc++) {
      for (let dr = -1; dr <= 1 && free; dr++) {
        free = !(taken.get(`${c + dc},${r + dr}`) ?? []).some((o) => Math.abs(o.px - px) < side + 3 && Math.abs(o.py - py) < side + 3);
      }
    }
    if (!free) continue;
    const spot = { row, px, py };
    spots.push(spot);
    const key = `${c},${r}`;
    if (taken.has(key)) taken.get(key)!.push(spot);
    else taken.set(key, [spot]);
  }
  return { side, spots };
}

/** A picture with its item's colour around it; false while it is not there yet. */
export function drawPicture(context: CanvasRenderingContext2D, image: HTMLImageElement, spot: Placed, side: number, colour: Rgb, faint: boolean): void {
  const half = side / 2;
  context.save();
  context.globalAlpha = faint ? 0.35 : 1;
  context.beginPath();
  context.roundRect(spot.px - half, spot.py - half, side, side, 5);
  context.save();
  context.clip();
  const scale = side / Math.min(image.naturalWidth, image.naturalHeight);
  const [w, h] = [image.naturalWidth * scale, image.naturalHeight * scale];
  context.imageSmoothingEnabled = scale < 2;
  context.drawImage(image, spot.px - w / 2, spot.py - h / 2, w, h);
  context.restore();
  context.lineWidth = 2;
  context.strokeStyle = css(colour);
  context.stroke();
  context.restore();
}
