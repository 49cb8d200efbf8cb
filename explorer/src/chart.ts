// Pictures of runs: the training curve as a line, a rank table with its intervals as whiskers.

import type { CurvePoint, Ranking } from "./api";
import { figure, h, svg } from "./dom";

/** Loss (or the first number there is) against the step. */
export function curve(points: CurvePoint[]): HTMLElement {
  const key = points.some((p) => typeof p.loss === "number") ? "loss" : (Object.keys(points[0] ?? {}).find((k) => k !== "step" && k !== "epoch" && typeof points[0]![k] === "number") ?? "loss");
  const data = points.map((p, i) => [Number(p.step ?? i), Number(p[key])] as const).filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y));
  if (data.length < 2) return h("p", { class: "quiet" }, "The curve begins with the second point.");
  const [W, H, L, B] = [640, 240, 52, 26];
  const xs = data.map(([x]) => x);
  const ys = data.map(([, y]) => y);
  const [x0, x1] = [Math.min(...xs), Math.max(...xs)];
  const ticks = nice(Math.min(...ys), Math.max(...ys));
  const [y0, y1] = [ticks[0]!, ticks.at(-1)!];
  const at = (x: number, y: number): [number, number] => [L + ((W - L - 12) * (x - x0)) / (x1 - x0 || 1), H - B - ((H - B - 12) * (y - y0)) / (y1 - y0 || 1)];
  const path = data.map(([x, y], i) => `${i ? "L" : "M"}${at(x, y).map((v) => v.toFixed(1)).join(" ")}`).join("");
  const last = data.at(-1)!;
  return h(
    "figure",
    { class: "chart" },
    svg(
      "svg",
      { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `${key} over ${data.length} points, from ${figure(ys[0]!)} to ${figure(last[1])}` },
      ticks.map((t) => svg("line", { x1: L, x2: W - 12, y1: at(x0, t)[1], y2: at(x0, t)[1], class: "grid" })),
      ticks.map((t) => svg("text", { x: L - 8, y: at(x0, t)[1] + 4, class: "tick", "text-anchor": "end" }, figure(t))),
      nice(x0, x1).filter((t) => t >= x0 && t <= x1 && (Number.isInteger(t) || !xs.every(Number.isInteger))).map((t) => svg("text", { x: at(t, y0)[0], y: H - 6, class: "tick", "text-anchor": "middle" }, figure(t))),
      svg("path", { d: path, class: "line" }),
      svg("circle", { cx: at(...last)[0], cy: at(...last)[1], r: 3.5, class: "end" }),
    ),
    h("figcaption", { class: "quiet small" }, `${key} by step · now ${figure(last[1])}`),
  );
}

/** Round numbers that enclose a range. */
function nice(low: number, high: number): number[] {
  if (!(high > low)) high = low + 1;
  const raw = (high - low) / 4;
  const size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * size).find((s) => s >= raw)!;
  const ticks: number[] = [];
  for (let t = Math.floor(low / step) * step; t < high + step * 0.999; t += step) ticks.push(Number(t.toPrecision(12)));
  return ticks;
}

/** Recipes, best first, each with its mean and interval; what does not differ from the best is said. */
export function rankTable(found: Ranking): HTMLElement {
  const rows = [...found.rows].sort((a, b) => b.value - a.value);
  const low = Math.min(...rows.map((r) => r.low ?? r.value));
  const high = Math.max(...rows.map((r) => r.high ?? r.value));
  const pad = (high - low || 1) * 0.08;
  const at = (v: number): number => (100 * (v - low + pad)) / (high - low + 2 * pad);
  const best = rows[0];
  const differs = (name: string): boolean | null => found.tests.find((t) => (t.a === name && t.b === best?.recipe) || (t.b === name && t.a === best?.recipe))?.differs ?? null;
  const body = rows.map((row, i) => {
    const verdict = i === 0 ? "best" : differs(row.recipe) === false ? "as good as the best" : differs(row.recipe) ? "worse" : "";
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, row.recipe),
      h("td", { class: "number" }, figure(row.value)),
      h("td", { class: "whisker" }, svg("svg", { viewBox: "0 0 100 12", preserveAspectRatio: "none", "aria-hidden": "true" }, svg("line", { x1: at(row.low), x2: at(row.high), y1: 6, y2: 6 }), svg("line", { x1: at(row.value), x2: at(row.value), y1: 1, y2: 11, class: "mean" }))),
      h("td", { class: "number quiet" }, `${figure(row.low)} – ${figure(row.high)}`),
      h("td", { class: "number quiet" }, row.seeds),
      h("td", { class: "number quiet" }, `${figure(row.seconds)} s`),
      h("td", {}, verdict ? h("span", { class: i === 0 ? "badge good" : "badge" }, verdict) : null),
    );
  });
  return h("div", { class: "scroll" }, h("table", { class: "rank" }, h("caption", { class: "unseen" }, `Recipes by ${found.metric}`), h("thead", {}, h("tr", {}, ["Recipe", found.metric, "", "95 % interval", "Seeds", "Time", ""].map((t, i) => h("th", { scope: "col", class: [1, 3, 4, 5].includes(i) ? "number" : null }, t)))), h("tbody", {}, body)));
}
