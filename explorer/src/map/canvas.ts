// Points on a plain canvas, for machines without WebGL: discs are stamped into an array of pixels, which is then put up whole.

import type { Rgb } from "../palette";
import type { Camera } from "./camera";
import { LOOK, type Layers } from "./layers";
import type { Renderer } from "./renderer";

/** A disc as places and covers (0..256): dx, dy, cover, ... */
function disc(diameter: number): Int16Array {
  const radius = diameter / 2;
  const reach = Math.ceil(radius);
  const stamp: number[] = [];
  for (let dy = -reach; dy <= reach; dy++) {
    for (let dx = -reach; dx <= reach; dx++) {
      const cover = Math.min(1, Math.max(0, radius + 0.5 - Math.hypot(dx, dy)));
      if (cover > 0.04) stamp.push(dx, dy, Math.round(cover * 256));
    }
  }
  return Int16Array.from(stamp);
}

export class CanvasRenderer implements Renderer {
  readonly kind = "canvas";
  readonly #context: CanvasRenderingContext2D;
  #image: ImageData;
  #x: Float32Array = new Float32Array();
  #y: Float32Array = new Float32Array();
  #colours: Uint8Array = new Uint8Array();
  #layers: Layers | null = null;
  #ratio = 1;

  constructor(readonly canvas: HTMLCanvasElement) {
    this.#context = canvas.getContext("2d", { alpha: false })!;
    this.#image = new ImageData(1, 1);
  }

  places(x: Float32Array, y: Float32Array): void {
    [this.#x, this.#y] = [x, y];
  }

  paint(colours: Uint8Array, layers: Layers): void {
    [this.#colours, this.#layers] = [colours, layers];
  }

  draw(camera: Camera, size: number, opacity: number, [red, green, blue]: Rgb): void {
    const { width, height, data } = this.#image;
    const pixels = new Uint32Array(data.buffer);
    pixels.fill((255 << 24) | (blue << 16) | (green << 8) | red);
    if (this.#layers) {
      const stamps = LOOK.map(([, factor]) => disc(size * factor * this.#ratio));
      const covers = LOOK.map(([cover]) => cover * opacity);
      const { state, order, drawn } = this.#layers;
      const scale = camera.scale * this.#ratio;
      for (let k = 0; k < drawn; k++) {
        const i = order[k]!;
        const px = Math.round(width / 2 + (this.#x[i]! - camera.x) * scale);
        const py = Math.round(height / 2 - (this.#y[i]! - camera.y) * scale);
        if (px < -40 || py < -40 || px > width + 40 || py > height + 40) continue;
        this.#stamp(stamps[state[i]!]!, covers[state[i]!]!, px, py, i);
      }
    }
    this.#context.putImageData(this.#image, 0, 0);
  }

  #stamp(stamp: Int16Array, opacity: number, px: number, py: number, row: number): void {
    const { width, height, data } = this.#image;
    const [r, g, b] = [this.#colours[4 * row]!, this.#colours[4 * row + 1]!, this.#colours[4 * row + 2]!];
    for (let s = 0; s < stamp.length; s += 3) {
      const x = px + stamp[s]!;
      const y = py + stamp[s + 1]!;
      if (x < 0 || y < 0 || x >= width || y >= height) continue;
      const cover = stamp[s + 2]! * opacity;
      const at = 4 * (y * width + x);
      data[at] = data[at]! + ((r - data[at]!) * cover) / 256;
      data[at + 1] = data[at + 1]! + ((g - data[at + 1]!) * cover) / 256;
      data[at + 2] = data[at + 2]! + ((b - data[at + 2]!) * cover) / 256;
    }
  }

  resize(width: number, height: number, ratio: number): void {
    this.#ratio = ratio;
    this.canvas.width = Math.max(1, Math.round(width * ratio));
    this.canvas.height = Math.max(1, Math.round(height * ratio));
    this.#image = new ImageData(this.canvas.width, this.canvas.height);
  }

  destroy(): void {
    this.#layers = null;
  }
}
