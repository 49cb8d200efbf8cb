// Facets: for each column what there is, how much of it matches, and a way to choose. The coloured column's is the legend.

import type { ColumnInfo, Facet, FacetValue } from "../api";
import { calm, count, figure, h, iconButton, put, svg } from "../dom";
import { pick, setColour } from "../explore";
import { colouring, css, day, ramp } from "../palette";
import { state, type Pick } from "../state";
import { onTheme } from "../theme";
import { attempt } from "../toast";

const SHOWN = 12;
const open = new Set<string>(); // columns whose rare values are shown, too
const hands = new Set<"pointer" | "unsent">(); // on a slider: what a reader is moving is not replaced under the hand
let late: (() => void) | null = null;

function letGo(hand: "pointer" | "unsent"): void {
  hands.delete(hand);
  if (hands.size || !late) return;
  const render = late;
  late = null;
  render();
}

export function facetsPanel(): HTMLElement {
  const panel = h("div", { class: "facets" });
  const render = (): void => {
    if (hands.size) return void (late = render);
    const [info, facets] = [state.get("info"), state.get("facets")];
    if (!info) return put(panel, h("p", { class: "quiet pad" }, "…"));
    if (!info.columns.length) return put(panel, h("p", { class: "quiet pad" }, "This space has no attributes to filter by."));
    const columns = inOrder(info.columns.filter((c) => c.kind !== "list"), info.items);
    put(panel, columns.map((column) => facet(column, facets?.columns[column.name])));
  };
  state.watch(["info", "facets", "picks", "colour", "column"], render);
  onTheme(render);
  render();
  return panel;
}

/** The label first; what differs for every item (a row number, a name) last. */
function inOrder(columns: ColumnInfo[], n: number): ColumnInfo[] {
  const rank = (c: ColumnInfo): number => (c.name === "label" ? 0 : c.kind === "text" || (n > 1 && c.distinct === n && c.kind === "number" && Number.isInteger(c.min)) ? 2 : 1);
  return [...columns].sort((a, b) => rank(a) - rank(b));
}

function facet(info: ColumnInfo, found: Facet | undefined): HTMLElement {
  const coloured = state.get("colour") === info.name;
  const paintable = info.kind !== "text" && info.kind !== "list";
  const choice = state.get("picks").get(info.name);
  const head = h(
    "div",
    { class: "facet-head" },
    h("h3", {}, info.name),
    choice ? h("button", { type: "button", class: "link small", "data-key": `clear-${info.name}`, onclick: () => void attempt(pick(info.name, null)) }, "Clear") : null,
    paintable
      ? h("button", { type: "button", class: "paint", "data-key": `paint-${info.name}`, "aria-pressed": String(coloured), title: coloured ? "Colours the map" : "Colour the map by this", "aria-label": `Colour the map by ${info.name}`, onclick: () => void attempt(setColour(coloured ? null : info.name)) }, dots())
      : null,
  );
  const body = !found ? skeleton() : found.values ? values(info, found, choice) : found.edges ? histogram(info, found, choice) : words(info, found);
  return h("section", { class: "facet", "aria-label": info.name }, head, body);
}

const dots = (): SVGElement =>
  svg("svg", { viewBox: "0 0 20 12", width: 20, height: 12, "aria-hidden": "true" }, [4, 10, 16].map((cx, i) => svg("circle", { cx, cy: 6, r: 2.6, class: `d${i}` })));
const skeleton = (): HTMLElement => h("div", { class: "skeleton", "aria-hidden": "true" }, h("i"), h("i"), h("i"));
const words = (info: ColumnInfo, found: Facet): HTMLElement => h("p", { class: "quiet small" }, `${count(found.distinct ?? info.distinct ?? 0)} different texts: filter with like`);

function values(info: ColumnInfo, found: Facet, choice: Pick | undefined): HTMLElement {
  const all: (Omit<FacetValue, "value"> & { value: string | null })[] = [...found.values!];
  // A handful is read in its own order; of many, the frequent come first.
  if (all.length <= SHOWN) all.sort((a, b) => String(a.value).localeCompare(String(b.value), "en", { numeric: true }));
  const missing = typeof found.missing === "object" ? found.missing : null;
  if (missing?.total) all.push({ value: null, ...missing });
  const chosen = new Set(choice && "values" in choice ? choice.values : []);
  const wide = open.has(info.name);
  if (!all.length) return h("p", { class: "quiet small" }, "no values");
  const shown = wide ? all : all.slice(0, SHOWN);
  for (const one of all.slice(shown.length)) if (chosen.has(one.value)) shown.push(one);
  const most = Math.max(1, ...all.map((v) => v.total));
  const column = state.get("colour") === info.name ? state.get("column") : null;
  const colours = column ? colouring(column) : null;
  const toggle = (value: string | null): void => {
    const next = new Set(chosen);
    if (!next.delete(value)) next.add(value);
    void attempt(pick(info.name, { values: [...next] }));
  };
  const rows = shown.map(({ value, total, matching }) => {
    const name = value ?? "missing";
    const bar = h("span", { class: "bar" }, h("i", { class: "all" }), h("i", { class: "now" }));
    (bar.children[0] as HTMLElement).style.width = `${(100 * total) / most}%`;
    (bar.children[1] as HTMLElement).style.width = `${(100 * matching) / most}%`;
    const swatch = colours ? h("span", { class: "swatch" }) : null;
    if (swatch && colours) swatch.style.background = css(colours.ofCode(value === null ? -1 : (column?.vocabulary?.indexOf(String(value)) ?? -1)));
    return h(
      "label",
      { class: `value${chosen.size && !chosen.has(value) ? " off" : ""}${colours ? " coloured" : ""}`, title: `${name}: ${count(matching)} of ${count(total)} match` },
      h("input", { type: "checkbox", "data-key": `value-${info.name}-${name}`, checked: chosen.has(value), "aria-label": `${name}, ${count(matching)} of ${count(total)}`, onchange: () => toggle(value) }),
      swatch,
      h("span", { class: value === null ? "text missing" : "text" }, name),
      h("span", { class: "number" }, count(matching)),
      bar,
    );
  });
  const rest = found.rest?.values ?? 0;
  const hidden = all.length - shown.length;
  const more =
    hidden > 0 || (wide && all.length > SHOWN)
      ? h("button", { type: "button", class: "link small", "data-key": `more-${info.name}`, onclick: () => { wide ? open.delete(info.name) : open.add(info.name); state.set({ facets: { ...state.get("facets")! } }); } }, wide ? "Show fewer" : `Show ${hidden} more`)
      : null;
  return h("div", { class: "values" }, rows, more, rest > 0 && wide ? h("p", { class: "quiet small" }, `and ${count(rest)} rarer values: filter by text`) : null);
}

function histogram(info: ColumnInfo, found: Facet, choice: Pick | undefined): HTMLElement {
  const edges = found.edges!;
  const [low, high] = [edges[0]!, edges.at(-1)!];
  const time = info.kind === "time";
  const say = time ? day : figure;
  if (!Number.isFinite(low) || !found.total!.some(Boolean)) return h("p", { class: "quiet small" }, "no values");
  if (!(high > low) || (info.min !== null && info.min === info.max)) return h("p", { class: "quiet small" }, `${say(low)} everywhere`);
  const range = choice && !("values" in choice) ? choice : { low: null, high: null };
  const most = Math.max(1, ...found.total!);
  const [W, H] = [232, 44];
  const coloured = state.get("colour") === info.name;
  const step = W / found.total!.length; // bars touch: gaps of a pixel would be wide here and narrow there
  const bars = found.total!.flatMap((n, i) => {
    const tall = (v: number): number => (v ? Math.max(1.5, (H * v) / most) : 0);
    const now = svg("rect", { x: i * step, width: step, y: H - tall(found.matching![i]!), height: tall(found.matching![i]!), class: "now" });
    if (coloured) now.style.fill = css(ramp(position((edges[i]! + edges[i + 1]!) / 2)));
    return [svg("rect", { x: i * step, width: step, y: H - tall(n), height: tall(n), class: "all" }), now];
  });
  function position(v: number): number {
    const column = state.get("column");
    if (!column?.numbers) return (v - low) / (high - low);
    const scale = colouring(column);
    return (v - scale.low) / (scale.high - scale.low || 1);
  }
  const whole = Number.isInteger(low) && Number.isInteger(high) && high - low > 4 && !time;
  const last = typeof info.max === "number" ? Math.min(high, info.max) : high; // the last bin may reach beyond the values
  const label = (): string => `${say(Number(from.value))} – ${say(Math.min(Number(to.value), last))}`;
  const said = h("output", { class: "range-said" });
  const send = calm(180, () => {
    const [a, b] = [Number(from.value), Number(to.value)];
    const next = { low: a > low ? a : null, high: b < last ? b : null, time };
    void attempt(pick(info.name, next.low === null && next.high === null ? null : next));
    letGo("unsent");
  });
  const slider = (value: number, name: string): HTMLInputElement =>
    h("input", { type: "range", min: low, max: high, step: whole ? 1 : (high - low) / 200, value, "aria-label": `${info.name}, ${name}`, "aria-valuetext": say(value), "data-key": `range-${info.name}-${name}`, oninput: changed, onpointerdown: grasp });
  const from = slider(range.low ?? low, "from");
  const to = slider(range.high ?? high, "to");
  const track = h("div", { class: "track" });
  function grasp(): void {
    hands.add("pointer");
    for (const end of ["pointerup", "pointercancel"]) window.addEventListener(end, () => letGo("pointer"), { once: true });
  }
  function changed(event?: Event): void {
    hands.add("unsent");
    if (Number(from.value) > Number(to.value)) event?.target === from ? (from.value = to.value) : (to.value = from.value);
    paint();
    send();
  }
  function paint(): void {
    said.textContent = label();
    const share = (v: string): number => (100 * (Number(v) - low)) / (high - low);
    track.style.setProperty("--from", `${share(from.value)}%`);
    track.style.setProperty("--to", `${share(to.value)}%`);
    from.setAttribute("aria-valuetext", say(Number(from.value)));
    to.setAttribute("aria-valuetext", say(Number(to.value)));
  }
  paint();
  const missing = typeof found.missing === "object" && found.missing.total ? `${count(found.missing.matching)} missing` : "";
  return h(
    "div",
    { class: "histogram" },
    svg("svg", { viewBox: `0 0 ${W} ${H}`, preserveAspectRatio: "none", role: "img", "aria-label": `Histogram of ${info.name}` }, bars),
    h("div", { class: "sliders" }, track, from, to),
    h("div", { class: "range-foot" }, said, h("span", { class: "quiet" }, missing)),
  );
}

/** The button that folds the facets away on small windows. */
export const foldButton = (fold: () => void): HTMLButtonElement => iconButton("close", "Hide the filters", fold);
