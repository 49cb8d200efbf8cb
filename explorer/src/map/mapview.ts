// One map: points, names, pictures, what is hovered, chosen and selected, and the keys and fingers that move it.
// It knows rows and places; what a row is, its owner tells it.

import { h, items } from "../dom";
import { background, colouring, css, type Colouring, type Rgb } from "../palette";
import type { Column } from "../api";
import { isDark, onTheme } from "../theme";
import { Camera, type Bounds } from "./camera";
import { boundsOf, Grid } from "./grid";
import { ABSENT, BACK, CHOSEN, dot, Layers, OUT, PLAIN } from "./layers";
import { Names } from "./names";
import { chooseSpots, drawPicture, FEW, Pictures } from "./pictures";
import { listen } from "./pointer";
import { makeRenderer, type Renderer } from "./renderer";

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
  readonly #overlay = h("canvas", { class: "overlay", "aria-hidden": "true" });
  readonly #names: Names;
  readonly #context: CanvasRenderingContext2D;
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
  #flight = 0;
  #keyboard = false;
  #fitted = false;

  constructor(
    label: string,
    readonly watcher: Watcher,
  ) {
    const names = h("div", { class: "names", "aria-hidden": "true" });
    this.element = h("div", { class: "map", tabindex: 0, role: "application", "aria-label": label, "aria-roledescription": "map", "aria-describedby": "map-keys" }, this.#points, this.#overlay, names);
    this.#names = new Names(names);
    this.#context = this.#overlay.getContext("2d")!;
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
    if (animated) this.#fly(goal.x, goal.y, goal.scale);
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
    this.#fly(goal.x, goal.y, Math.min(goal.scale, this.camera.scale / this.camera.zoom * 40));
  }

  /** Bring a row to the middle if it is out of sight. */
  reveal(row: number): void {
    const [px, py] = this.camera.toScreen(this.grid.x[row]!, this.grid.y[row]!);
    if (px > 40 && py > 40 && px < this.camera.width - 40 && py < this.camera.height - 40) return;
    if (Number.isFinite(px)) this.#fly(this.grid.x[row]!, this.grid.y[row]!, this.camera.scale);
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

  #fly(x: number, y: number, scale: number): void {
    cancelAnimationFrame(this.#flight);
    const c = this.camera;
    const from = { x: c.x, y: c.y, scale: c.scale };
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const began = performance.now();
    const step = (): void => {
      const t = still ? 1 : Math.min(1, (performance.now() - began) / 260);
      const e = 1 - (1 - t) ** 3;
      c.scale = from.scale * (scale / from.scale) ** e;
      [c.x, c.y] = [from.x + (x - from.x) * e, from.y + (y - from.y) * e];
      this.redraw();
      if (t < 1) this.#flight = requestAnimationFrame(step);
    };
    step();
  }

  #resize(): void {
    const { width, height } = this.element.getBoundingClientRect();
    if (!width || !height) return;
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    [this.camera.width, this.camera.height] = [width, height];
    this.#renderer.resize(width, height, ratio);
    this.#overlay.width = Math.round(width * ratio);
    this.#overlay.height = Math.round(height * ratio);
    this.#context.setTransform(ratio, 0, 0, ratio, 0, 0);
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
    this.#drawOverlay(size);
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

  #drawOverlay(size: number): void {
    const c = this.#context;
    c.clearRect(0, 0, this.camera.width, this.camera.height);
    // Chromium may go on showing the last picture when a frame only clears; a point that nobody sees makes it a drawing.
    c.fillStyle = "rgb(128 128 128 / 0.005)";
    c.fillRect(0, 0, 1, 1);
    const ink = isDark() ? "255 255 255" : "20 22 28";
    const at = (row: number): [number, number] => this.camera.toScreen(this.grid.x[row]!, this.grid.y[row]!);
    if (this.#focus >= 0 && !Number.isNaN(this.grid.x[this.#focus]!)) {
      const [fx, fy] = at(this.#focus);
      c.strokeStyle = `rgb(${ink} / 0.35)`;
      c.lineWidth = 1;
      c.beginPath();
      for (const row of this.#near) {
        c.moveTo(fx, fy);
        c.lineTo(...at(row));
      }
      c.stroke();
    }
    for (const row of this.#near) this.#ring(at(row), size / 2 + 2.5, 1.5, `rgb(${ink} / 0.8)`);
    let side = 0;
    if (this.#pictured.length) {
      // The chosen item and its neighbours come first, so that theirs are the pictures that are kept.
      const first = new Set([this.#hover, this.#focus, ...this.#near]);
      const rows = [...this.#pictured].sort((a, b) => Number(first.has(b)) - Number(first.has(a)));
      const chosen = chooseSpots(rows, this.grid.x, this.grid.y, this.camera, this.#mask && this.camera.zoom < 3 ? 42 : 72);
      side = chosen.side;
      let there = 0;
      for (const spot of chosen.spots.reverse()) {
        const id = this.watcher.id(spot.row);
        const image = id === null ? null : this.pictures!.get(id);
        if (!image) continue;
        there++;
        const colour: Rgb = this.#colouring.of(spot.row);
        drawPicture(c, image, spot, side, colour, this.#selected !== null && !this.#selected[spot.row]);
      }
      this.element.dataset["pictures"] = String(there);
    } else this.element.dataset["pictures"] = "0";
    for (const [row, width] of [
      [this.#hover, 1.5],
      [this.#focus, 2.5],
    ] as const) {
      if (row < 0 || Number.isNaN(this.grid.x[row]!)) continue;
      if (side && this.#pictured.includes(row)) this.#frameAround(at(row), side, width, `rgb(${ink})`);
      else this.#ring(at(row), size / 2 + 4, width, `rgb(${ink})`);
    }
    if (this.#path.length > 2) {
      c.beginPath();
      for (let k = 0; k < this.#path.length; k += 2) c.lineTo(this.#path[k]!, this.#path[k + 1]!);
      c.closePath();
      c.fillStyle = `rgb(${ink} / 0.07)`;
      c.fill();
      c.setLineDash([5, 4]);
      c.strokeStyle = `rgb(${ink} / 0.8)`;
      c.lineWidth = 1.5;
      c.stroke();
      c.setLineDash([]);
    }
    if (this.#keyboard) {
      const [mx, my] = [this.camera.width / 2, this.camera.height / 2];
      c.strokeStyle = `rgb(${ink} / 0.6)`;
      c.lineWidth = 1;
      c.beginPath();
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]] as const) {
        c.moveTo(mx + 5 * dx, my + 5 * dy);
        c.lineTo(mx + 12 * dx, my + 12 * dy);
      }
      c.stroke();
    }
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

  #frameAround([px, py]: [number, number], side: number, width: number, style: string): void {
    const c = this.#context;
    c.beginPath();
    c.roundRect(px - side / 2 - 2.5, py - side / 2 - 2.5, side + 5, side + 5, 7);
    c.lineWidth = width;
    c.strokeStyle = style;
    c.stroke();
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
    this.element.addEventListener("keydown", (event) => this.#key(event));
    this.element.addEventListener("focus", () => {
      this.#keyboard = this.element.matches(":focus-visible");
      this.redraw();
    });
    this.element.addEventListener("blur", () => {
      this.#keyboard = false;
      this.redraw();
    });
  }

  #key(event: KeyboardEvent): void {
    if (event.target !== this.element || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = event.shiftKey ? 160 : 56;
    const moves: Record<string, () => void> = {
      ArrowLeft: () => this.camera.pan(step, 0),
      ArrowRight: () => this.camera.pan(-step, 0),
      ArrowUp: () => this.camera.pan(0, step),
      ArrowDown: () => this.camera.pan(0, -step),
      "+": () => this.zoomBy(1.4),
      "=": () => this.zoomBy(1.4),
      "-": () => this.zoomBy(1 / 1.4),
      Enter: () => {
        const [x, y] = [this.camera.x, this.camera.y];
        const all = 2 * Math.max(this.camera.width, this.camera.height) / this.camera.scale;
        this.watcher.chose(this.grid.nearest(x, y, all, this.matches), false);
      },
    };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    this.#keyboard = true;
    move();
    this.redraw();
  }

  /** The map in a sentence, for those who do not see it. */
  describe(matching: number): string {
    const n = this.grid.x.length;
    return matching === n ? `Map of ${items(n)}` : `Map of ${items(n)}, ${items(matching)} matching the filter`;
  }
}
