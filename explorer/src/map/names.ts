// Names of categories where their points lie: the direct label that makes the legend a second look. A name stands at the
// median of its points, and only where it covers no other name and is not cut by the edge.

import { h } from "../dom";
import type { Column } from "../api";
import type { Camera } from "./camera";
import type { Colouring } from "../palette";
import { css } from "../palette";

const MOST = 24;

interface Name {
  text: string;
  code: number;
  x: number;
  y: number;
  count: number;
  element: HTMLElement;
  width: number;
}

export class Names {
  #names: Name[] = [];

  constructor(readonly layer: HTMLElement) {}

  /** Names of the categories of the rows that pass; none where there are too many to read. */
  set(column: Column | null, x: Float32Array, y: Float32Array, passes: (row: number) => boolean, colouring: Colouring): void {
    this.layer.replaceChildren();
    this.#names = [];
    const vocabulary = column?.vocabulary;
    if (!column?.codes || !vocabulary || vocabulary.length > MOST || column.kind === "boolean") return;
    const step = Math.max(1, Math.floor(x.length / 40_000));
    const members: [number[], number[]][] = vocabulary.map(() => [[], []]);
    for (let i = 0; i < x.length; i += step) {
      const code = column.codes[i]!;
      if (code >= vocabulary.length || !passes(i) || Number.isNaN(x[i]!)) continue;
      members[code]![0].push(x[i]!);
      members[code]![1].push(y[i]!);
    }
    members.forEach(([xs, ys], code) => {
      if (!xs.length) return;
      const element = h("span", { class: "name" }, vocabulary[code]!);
      element.style.setProperty("--hue", css(colouring.ofCode(code)));
      this.layer.append(element);
      const [mx, my] = densest(xs, ys);
      this.#names.push({ text: vocabulary[code]!, code, x: mx, y: my, count: xs.length, element, width: 0 });
    });
    for (const name of this.#names) name.width = name.element.offsetWidth;
    this.#names.sort((a, b) => b.count - a.count);
  }

  /** Put names where the camera has their points. */
  place(camera: Camera, shown: boolean): void {
    const taken: [number, number, number, number][] = [];
    for (const name of this.#names) {
      const [px, py] = camera.toScreen(name.x, name.y);
      const [w, t] = [name.width / 2 + 2, 11];
      const inside = px - w > 4 && px + w < camera.width - 4 && py - t > 4 && py + t < camera.height - 4;
      const free = !taken.some(([x0, y0, x1, y1]) => px + w > x0 && px - w < x1 && py + t > y0 && py - t < y1);
      const visible = shown && inside && free;
      name.element.hidden = !visible;
      if (!visible) continue;
      taken.push([px - w, py - t, px + w, py + t]);
      name.element.style.transform = `translate(${Math.round(px)}px, ${Math.round(py)}px) translate(-50%, -50%)`;
    }
  }
}

/** The member nearest to the medians of both axes after two rounds of looking only at the half around it: a name stands on its points. */
function densest(xs: number[], ys: number[]): [number, number] {
  let rows = xs.map((_, i) => i);
  let at: [number, number] = [0, 0];
  for (let round = 0; round < 3; round++) {
    at = [median(rows.map((i) => xs[i]!)), median(rows.map((i) => ys[i]!))];
    const far = (i: number): number => (xs[i]! - at[0]) ** 2 + (ys[i]! - at[1]) ** 2;
    rows = rows.sort((a, b) => far(a) - far(b)).slice(0, Math.max(1, rows.length >> 1));
  }
  return at;
}

function median(values: number[]): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[sorted.length >> 1] ?? 0;
}
