// What lies over the points: pictures, the ring around what is hovered or chosen with its lines to the neighbours, the lasso
// as it is drawn, and the cross hairs of who moves the map by keyboard.

import { h } from "../dom";
import { background, css, type Colouring } from "../palette";
import { isDark } from "../theme";
import type { Camera } from "./camera";
import { chooseSpots, drawPicture, type Pictures } from "./pictures";

export interface Scene {
  camera: Camera;
  x: Float32Array;
  y: Float32Array;
  dot: number; // diameter of a point, css pixels
  hover: number;
  focus: number;
  near: readonly number[];
  path: readonly number[]; // of the lasso
  keyboard: boolean;
  pictured: readonly number[]; // rows whose pictures stand in for their dots
  crowded: boolean; // pictures are kept small
  pictures: Pictures | null;
  id(row: number): string | null;
  colouring: Colouring;
  dim(row: number): boolean;
}

export class Overlay {
  readonly canvas = h("canvas", { class: "overlay", "aria-hidden": "true" });
  readonly #context = this.canvas.getContext("2d")!;

  resize(width: number, height: number, ratio: number): void {
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.#context.setTransform(ratio, 0, 0, ratio, 0, 0);
  }

  /** Returns how many pictures are there. */
  draw(scene: Scene): number {
    const c = this.#context;
    const { camera, x, y } = scene;
    c.clearRect(0, 0, camera.width, camera.height);
    // Chromium may go on showing the last picture when a frame only clears; a point that nobody sees makes it a drawing.
    c.fillStyle = "rgb(128 128 128 / 0.005)";
    c.fillRect(0, 0, 1, 1);
    const ink = isDark() ? "255 255 255" : "20 22 28";
    const at = (row: number): [number, number] => camera.toScreen(x[row]!, y[row]!);
    if (scene.focus >= 0 && !Number.isNaN(x[scene.focus]!)) this.#lines(at(scene.focus), scene.near.map(at), `rgb(${ink} / 0.35)`);
    for (const row of scene.near) this.#ring(at(row), scene.dot / 2 + 2.5, 1.5, `rgb(${ink} / 0.8)`);
    const { side, drawn } = this.#pictures(scene);
    for (const [row, width] of [
      [scene.hover, 1.5],
      [scene.focus, 2.5],
    ] as const) {
      if (row < 0 || Number.isNaN(x[row]!)) continue;
      if (side && scene.pictured.includes(row)) this.#frame(at(row), side, width, `rgb(${ink})`);
      else this.#ring(at(row), scene.dot / 2 + 4, width, `rgb(${ink})`);
    }
    if (scene.path.length > 2) this.#lasso(scene.path, ink);
    if (scene.keyboard) this.#cross(camera.width / 2, camera.height / 2, `rgb(${ink} / 0.6)`);
    return drawn;
  }

  #pictures(scene: Scene): { side: number; drawn: number } {
    if (!scene.pictured.length) return { side: 0, drawn: 0 };
    // The chosen item and its neighbours come first, so that theirs are the pictures that are kept.
    const first = new Set([scene.hover, scene.focus, ...scene.near]);
    const rows = [...scene.pictured].sort((a, b) => Number(first.has(b)) - Number(first.has(a)));
    const { side, spots } = chooseSpots(rows, scene.x, scene.y, scene.camera, scene.crowded ? 42 : 72);
    let drawn = 0;
    for (const spot of spots.reverse()) {
      const id = scene.id(spot.row);
      const image = id === null ? null : scene.pictures!.get(id);
      if (!image) continue;
      drawn++;
      drawPicture(this.#context, image, spot, side, scene.colouring.of(spot.row), scene.dim(spot.row));
    }
    return { side, drawn };
  }

  #lines(from: [number, number], to: [number, number][], style: string): void {
    const c = this.#context;
    c.strokeStyle = style;
    c.lineWidth = 1;
    c.beginPath();
    for (const place of to) {
      c.moveTo(...from);
      c.lineTo(...place);
    }
    c.stroke();
  }

  #ring([px, py]: [number, number], radius: number, width: number, style: string): void {
    const c = this.#context;
    c.beginPath();
    c.arc(px, py, radius, 0, 2 * Math.PI);
    c.lineWidth = width + 2;
    c.strokeStyle = css(background());
    c.stroke();
    c.lineWidth = width;
    c.strokeStyle = style;
    c.stroke();
  }

  #frame([px, py]: [number, number], side: number, width: number, style: string): void {
    const c = this.#context;
    c.beginPath();
    c.roundRect(px - side / 2 - 2.5, py - side / 2 - 2.5, side + 5, side + 5, 7);
    c.lineWidth = width;
    c.strokeStyle = style;
    c.stroke();
  }

  #lasso(path: readonly number[], ink: string): void {
    const c = this.#context;
    c.beginPath();
    for (let k = 0; k < path.length; k += 2) c.lineTo(path[k]!, path[k + 1]!);
    c.closePath();
    c.fillStyle = `rgb(${ink} / 0.07)`;
    c.fill();
    c.setLineDash([5, 4]);
    c.strokeStyle = `rgb(${ink} / 0.8)`;
    c.lineWidth = 1.5;
    c.stroke();
    c.setLineDash([]);
  }

  #cross(mx: number, my: number, style: string): void {
    const c = this.#context;
    c.strokeStyle = style;
    c.lineWidth = 1;
    c.beginPath();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]] as const) {
      c.moveTo(mx + 5 * dx, my + 5 * dy);
      c.lineTo(mx + 12 * dx, my + 12 * dy);
    }
    c.stroke();
  }
}
