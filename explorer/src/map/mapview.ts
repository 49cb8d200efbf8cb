// One map: points, names, pictures, what is hovered, chosen and selected, and the keys and fingers that move it.
// It knows rows and places; what a row is, its owner tells it.

import { h, items } from "../dom";
import { background, colouring, type Colouring } from "../palette";
import type { Column } from "../api";
import { onTheme } from "../theme";
import { Camera, type Bounds } from "./camera";
import { Flight } from "./flight";
import { boundsOf, Grid } from "./grid";
import { ABSENT, BACK, CHOSEN, dot, Layers, OUT, PLAIN } from "./layers";
import { Names } from "./names";
import { Overlay, type Scene } from "./overlay";
import { FEW, Pictures } from "./pictures";
import { listen } from "./pointer";
import { makeRenderer, type Renderer } from "./renderer";
import { steer } from "./steering";

export interface Watcher {
  hovered(row: number, px: number, py: number): void;
  chose(row: number, more: boolean): void;
  lassoed(rows: Uint32Array, polygon: number[]): void;
  lassoing(on: boolean): void;
  id(row: number): string | null;
}

const REACH = 14; // css pixels around the pointer in which a point is found

export class MapView {
  readonly element: HTMLElement;
  readonly camera = new Camera();
  readonly frames: number[] = []; // durations of the last frames, in ms, for measurement
  grid: Grid = new Grid(new Float32Array(), new Float32Array());
  pictures: Pictures | null = null;
  lassoOn = false;

  readonly #points = h("canvas", { class: "points", "aria-hidden": "true" });
  readonly #overlay = new Overlay();
  readonly #names: Names;
  #renderer: Renderer;
  #layers = new Layers(0);
  #colours = new Uint8Array();
  #colouring: Colouring = colouring(null);
  #column: Column | null = null;
  #mask: Uint8Array | null = null;
  #selected: Uint8Array | null = null;
  #focus = -1;
  #near: number[] = [];
  #hover = -1;
  #path: number[] = [];
  #pictured: number[] = [];
  #stale = { layers: false, colours: false, names: false };
  #frame = 0;
  #keyboard = false;
  readonly #flight = new Flight(this.camera, () => this.redraw());
  #fitted = false;

  constructor(
    label: string,
    readonly watcher: Watcher,
  ) {
    const names = h("div", { class: "names", "aria-hidden": "true" });
    this.element = h("div", { class: "map", tabindex: 0, role: "application", "aria-label": label, "aria-roledescription": "map", "aria-describedby": "map-keys" }, this.#points, this.#overlay.canvas, names);
    this.#names = new Names(names);
    this.#renderer = makeRenderer(this.#points);
    this.element.dataset["renderer"] = this.#renderer.kind;
    new ResizeObserver(() => this.#resize()).observe(this.element);
    onTheme(() => this.recolour());
    this.#listen();
  }

  /** New places; the view is fitted to them unless it is to stay. */
  setPlaces(x: Float32Array, y: Float32Array): void {
    this.grid = new Grid(x, y);
    this.#layers = new Layers(x.length);
    this.#colours = new Uint8Array(4 * x.length);
    this.#renderer.places(x, y);
    this.#mask = this.#mask?.length === x.length ? this.#mask : null;
    this.#selected = this.#selected?.length === x.length ? this.#selected : null;
    this.#column = null;
    this.#colouring = colouring(null);
    this.#focus = this.#hover = -1;
    this.#near = [];
    this.#fitted = false;
    this.#stale = { layers: true, colours: true, names: true };
    this.fit();
  }

  setColumn(column: Column | null): void {
    this.#column = column;
    this.recolour();
  }

  recolour(): void {
    this.#colouring = colouring(this.#column);
    this.#stale.colours = this.#stale.names = true;
    this.redraw();
  }

  get colouring(): Colouring {
    return this.#colouring;
  }

  /** One byte per row, 1 where it matches; null: all do. */
  setMask(mask: Uint8Array | null): void {
    this.#mask = mask;
    this.#stale.layers = this.#stale.names = true;
    this.redraw();
  }

  setSelected(rows: Uint32Array | null): void {
    if (rows) {
      this.#selected = new Uint8Array(this.grid.x.length);
      for (const row of rows) this.#selected[row] = 1;
    } else this.#selected = null;
    this.#stale.layers = true;
    this.redraw();
  }

  /** The item in the panel and those it is joined to. */
  setFocus(row: number, near: number[] = []): void {
    [this.#focus, this.#near] = [row, near];
    this.redraw();
  }

  setHover(row: number): void {
    if (row === this.#hover) return;
    this.#hover = row;
    this.redraw();
  }

  setLasso(on: boolean): void {
    this.lassoOn = on;
    this.element.classList.toggle("lassoing", on);
    this.watcher.lassoing(on);
  }

  matches = (row: number): boolean => this.#mask === null || this.#mask[row] === 1;

  /** Rows in the window that match. */
  inView(): Uint32Array {
    const rows: number[] = [];
    this.grid.within(this.camera.view, (row) => {
      if (this.matches(row)) rows.push(row);
    });
    return Uint32Array.from(rows).sort();
  }

  fit(animated = false): void {
    const { width, height } = this.element.getBoundingClientRect();
    if (!width || !height) return;
    const goal = new Camera();
    [goal.width, goal.height] = [this.camera.width, this.camera.height];
    const bounds = this.grid.placed ? this.grid.bounds : { x0: -1, y0: -1, x1: 1, y1: 1 };
    goal.fit(bounds);
    if (animated) this.#flight.to(goal.x, goal.y, goal.scale);
    else this.camera.fit(bounds);
    this.#fitted = true;
    this.redraw();
  }

  /** Bring rows into the window. */
  frame(rows: ArrayLike<number>): void {
    const of = (v: Float32Array): Float32Array => Float32Array.from({ length: rows.length }, (_, i) => v[rows[i]!]!);
    const bounds: Bounds = boundsOf(of(this.grid.x), of(this.grid.y));
    const goal = new Camera();
    [goal.width, goal.height] = [this.camera.width, this.camera.height];
    goal.fit(bounds, 72, 0);
    this.#flight.to(goal.x, goal.y, Math.min(goal.scale, this.camera.scale / this.camera.zoom * 40));
  }

  /** Bring a row to the middle if it is out of sight. */
  reveal(row: number): void {
    const [px, py] = this.camera.toScreen(this.grid.x[row]!, this.grid.y[row]!);
    if (px > 40 && py > 40 && px < this.camera.width - 40 && py < this.camera.height - 40) return;
    if (Number.isFinite(px)) this.#flight.to(this.grid.x[row]!, this.grid.y[row]!, this.camera.scale);
  }

  zoomBy(factor: number): void {
    this.camera.zoomAt(this.camera.width / 2, this.camera.height / 2, factor);
    this.redraw();
  }

  redraw(): void {
    if (!this.#frame) this.#frame = requestAnimationFrame(() => this.#draw());
  }

  destroy(): void {
    cancelAnimationFrame(this.#frame);
    this.#renderer.destroy();
  }

  #resize(): void {
    const { width, height } = this.element.getBoundingClientRect();
    if (!width || !height) return;
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    [this.camera.width, this.camera.height] = [width, height];
    this.#renderer.resize(width, height, ratio);
    this.#overlay.resize(width, height, ratio);
    if (!this.#fitted || Math.abs(this.camera.zoom - 1) < 1e-6) this.fit();
    this.#draw(); // at once: a canvas is blank after its size was set
  }

  #draw(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const began = performance.now();
    if (this.#stale.colours) this.#fillColours();
    this.#choosePictures();
    if (this.#stale.layers) this.#fillLayers();
    if (this.#stale.layers || this.#stale.colours) this.#renderer.paint(this.#colours, this.#layers);
    if (this.#stale.names) this.#names.set(this.#column, this.grid.x, this.grid.y, this.matches, this.#colouring);
    this.#stale = { layers: false, colours: false, names: false };
    const { size, opacity } = dot(this.grid.placed, this.camera.zoom);
    this.#renderer.draw(this.camera, size, opacity, background());
    this.element.dataset["pictures"] = String(this.#overlay.draw(this.#scene(size)));
    this.#names.place(this.camera, !this.#pictured.length && this.camera.zoom < 12);
    this.#tell();
    this.frames.push(performance.now() - began);
    if (this.frames.length > 500) this.frames.splice(0, 250);
  }

  #fillColours(): void {
    const { of } = this.#colouring;
    for (let i = 0; i < this.grid.x.length; i++) {
      const [r, g, b] = of(i);
      this.#colours[4 * i] = r;
      this.#colours[4 * i + 1] = g;
      this.#colours[4 * i + 2] = b;
    }
  }

  #fillLayers(): void {
    const { state } = this.#layers;
    const [mask, selected] = [this.#mask, this.#selected];
    const { x, y } = this.grid;
    for (let i = 0; i < state.length; i++) {
      if (!Number.isFinite(x[i]! + y[i]!)) state[i] = ABSENT;
      else if (mask && !mask[i]) state[i] = OUT;
      else if (selected) state[i] = selected[i] ? CHOSEN : BACK;
      else state[i] = PLAIN;
    }
    this.#layers.arrange();
  }

  /** Rows whose pictures stand in for their dots; none while too many points are in the window. */
  #choosePictures(): void {
    this.#pictured = [];
    if (!this.pictures || !this.grid.placed) return;
    const rows: number[] = [];
    const side = 40 / this.camera.scale;
    const view = this.camera.view;
    const wide = { x0: view.x0 - side, y0: view.y0 - side, x1: view.x1 + side, y1: view.y1 + side };
    this.grid.within(wide, (row) => {
      if (this.matches(row)) rows.push(row);
      return rows.length <= FEW;
    });
    if (rows.length <= FEW) this.#pictured = rows;
  }

  #scene(dot: number): Scene {
    const selected = this.#selected;
    return {
      camera: this.camera,
      x: this.grid.x,
      y: this.grid.y,
      dot,
      hover: this.#hover,
      focus: this.#focus,
      near: this.#near,
      path: this.#path,
      keyboard: this.#keyboard,
      pictured: this.#pictured,
      crowded: this.#mask !== null && this.camera.zoom < 3,
      pictures: this.pictures,
      id: (row) => this.watcher.id(row),
      colouring: this.#colouring,
      dim: (row) => selected !== null && !selected[row],
    };
  }

  /** What is on the picture, in words that a test can read. */
  #tell(): void {
    const { state } = this.#layers;
    this.element.dataset["drawn"] = String(this.#layers.drawn);
    this.element.dataset["zoom"] = this.camera.zoom.toFixed(3);
    if (state.length && !performance.getEntriesByName("semblance:painted").length) performance.mark("semblance:painted");
  }

  #find(px: number, py: number): number {
    const [x, y] = this.camera.toMap(px, py);
    const reach = this.#pictured.length ? 34 : REACH;
    return this.grid.nearest(x, y, reach / this.camera.scale, this.matches);
  }

  #listen(): void {
    listen(this.element, {
      pan: (dx, dy) => {
        this.camera.pan(dx, dy);
        this.watcher.hovered(-1, 0, 0);
        this.redraw();
      },
      zoom: (px, py, factor) => {
        this.camera.zoomAt(px, py, factor);
        this.watcher.hovered(-1, 0, 0);
        this.redraw();
      },
      hover: (px, py) => {
        this.#keyboard = false;
        const row = this.#find(px, py);
        this.element.classList.toggle("over", row >= 0);
        this.setHover(row);
        this.watcher.hovered(row, px, py);
      },
      leave: () => {
        this.setHover(-1);
        this.watcher.hovered(-1, 0, 0);
      },
      choose: (px, py, more) => this.watcher.chose(this.#find(px, py), more),
      lassoing: () => this.lassoOn,
      lasso: (path, ended) => {
        this.#path = ended ? [] : path;
        this.redraw();
        if (!ended || path.length < 6) return;
        const polygon: number[] = [];
        for (let k = 0; k < path.length; k += 2) polygon.push(...this.camera.toMap(path[k]!, path[k + 1]!));
        this.watcher.lassoed(this.grid.inside(polygon, this.matches), polygon);
      },
      settle: () => this.redraw(),
    });
    steer(this.element, {
      pan: (dx, dy) => this.camera.pan(dx, dy),
      zoom: (factor) => this.zoomBy(factor),
      choose: () => {
        const { x, y, width, height, scale } = this.camera;
        this.watcher.chose(this.grid.nearest(x, y, (2 * Math.max(width, height)) / scale, this.matches), false);
      },
      steered: () => {
        this.#keyboard = true;
        this.redraw();
      },
    });
    this.element.addEventListener("focus", () => {
      this.#keyboard = this.element.matches(":focus-visible");
      this.redraw();
    });
    this.element.addEventListener("blur", () => {
      this.#keyboard = false;
      this.redraw();
    });
  }

  /** The map in a sentence, for those who do not see it. */
  describe(matching: number): string {
    const n = this.grid.x.length;
    return matching === n ? `Map of ${items(n)}` : `Map of ${items(n)}, ${items(matching)} matching the filter`;
  }
}
