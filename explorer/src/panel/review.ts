// Ready-made views: near-duplicates, outliers, label suspects. What the threshold means is seen in the pairs at its border:
// those that just pass and those that just do not.

import { finished, type Pair, type View } from "../api";
import { picture, shortId } from "../cards";
import { calm, count, figure, h, put, svg } from "../dom";
import { chooseId, label, select } from "../explore";
import { state, writable } from "../state";
import { attempt } from "../toast";

const VIEWS = [
  { name: "duplicates", title: "Near-duplicates", says: "Pairs nearer to each other than", few: "No pair is that near." },
  { name: "outliers", title: "Outliers", says: "Items whose ten nearest are on average farther than", few: "No item lies that far out." },
  { name: "suspects", title: "Label suspects", says: "Items whose own label has of the votes around them at most", few: "No label is that doubtful." },
] as const;

export function reviewPanel(): HTMLElement {
  const panel = h("div", { class: "review" });
  let chosen = 0;
  let view: View | null = null;
  let note = "";
  let turn = 0;
  let loaded = "";
  let asked: number | null = null; // where the slider is while no view of that threshold has come

  const load = async (threshold: number | null): Promise<void> => {
    const api = state.get("api");
    if (!api) return;
    const mine = ++turn;
    loaded = `${api.name} ${chosen}`;
    note = "Looking through the space …";
    render();
    try {
      let answer = await api.view(VIEWS[chosen]!.name, threshold);
      if ("job" in answer) {
        await finished(answer.job, (done, total, text) => {
          note = `Measuring neighbours: ${text || (total ? `${Math.round((100 * done) / total)} %` : "…")}`;
          if (mine === turn) render();
        });
        answer = await api.view(VIEWS[chosen]!.name, threshold);
      }
      if (mine !== turn) return;
      view = "ready" in answer ? answer.ready : null;
      if (asked === threshold) asked = null;
      note = "";
      state.set({ queue: view?.pairs.map((pair) => pair.id) ?? [] });
    } catch (error) {
      if (mine !== turn) return;
      view = asked = null;
      note = error instanceof Error ? error.message : String(error);
    }
    render();
  };
  const loadSoon = calm(160, (threshold: number, of: string) => {
    if (of === loaded) void attempt(load(threshold)); // else another view was chosen meanwhile
  });

  const render = (): void => {
    const info = state.get("info");
    const tabs = VIEWS.map((one, i) =>
      h("button", { type: "button", role: "radio", "aria-checked": String(i === chosen), "data-key": one.name, disabled: one.name === "suspects" && info?.labels !== "class", title: one.name === "suspects" && info?.labels !== "class" ? "This space has no class labels" : null, onclick: () => { chosen = i; view = asked = null; void attempt(load(null)); } }, one.title),
    );
    put(panel, h("div", { class: "segments", role: "radiogroup", "aria-label": "View" }, tabs), note ? h("p", { class: "quiet", role: "status" }, note) : null, view ? body(view) : null);
  };

  const body = (found: View): HTMLElement => {
    const words = VIEWS[chosen]!;
    const say = (v: number): string => (found.unit === "share" ? `${Math.round(100 * v)} %` : figure(v));
    const [low, high] = found.range;
    const at = asked ?? found.threshold;
    const output = h("output", {}, say(at));
    const slider = h("input", { type: "range", min: low, max: high, step: (high - low) / 200 || 1, value: at, "data-key": "threshold", "aria-label": `Threshold: ${words.says}`, "aria-valuetext": say(at) });
    slider.addEventListener("input", () => {
      output.textContent = say(Number(slider.value));
      slider.setAttribute("aria-valuetext", say(Number(slider.value)));
      loadSoon((asked = Number(slider.value)), loaded);
    });
    const ids = new Set(found.pairs.flatMap((pair) => (words.name === "duplicates" && pair.other ? [pair.id, pair.other] : [pair.id])));
    const take = (): void => {
      const all = state.get("ids") ?? [];
      const rows: number[] = [];
      all.forEach((id, row) => ids.has(id) && rows.push(row));
      select(Uint32Array.from(rows), { kind: "ids" });
    };
    const border = (title: string, pairs: Pair[]): HTMLElement => h("div", { class: "side" }, h("h4", {}, title), pairs.length ? pairs.slice(0, 3).map((pair) => couple(pair, say)) : h("p", { class: "quiet small" }, "none"));
    return h(
      "div",
      { "data-view": words.name, "data-threshold": found.threshold },
      h("div", { class: "threshold" }, h("p", {}, `${words.says} `, output), passing(found), slider, found.threshold === found.default ? h("p", { class: "quiet small chosen" }, `Chosen from the data: ${found.why}.`) : null, h("p", { class: "total" }, h("b", {}, count(found.total)), words.name === "duplicates" ? " pairs" : " items", found.pairs.length ? h("button", { type: "button", class: "link small", "data-key": "select-view", onclick: take }, `Select ${found.total > found.pairs.length ? `the first ${count(ids.size)}` : "them"}`) : null)),
      h("section", { class: "border", "aria-label": "At the border" }, h("div", { class: "section-head" }, h("h3", {}, "At the border")), h("div", { class: "sides" }, border("just pass", found.border.inside), border("just do not", found.border.outside))),
      h("section", { "aria-label": "All that pass" }, h("div", { class: "section-head" }, h("h3", {}, "Most extreme first")), found.pairs.length ? h("ul", { class: "pairs" }, found.pairs.map((pair) => h("li", {}, couple(pair, say), suspect(pair)))) : h("p", { class: "quiet" }, words.few)),
    );
  };

  /** How many pass at each threshold, on a scale of logarithms; what passes now is darker. */
  const passing = (found: View): SVGElement | null => {
    const [low, high] = found.range;
    if (found.scale.length < 2 || !(high > low)) return null;
    const most = Math.log1p(Math.max(...found.scale.map(([, n]) => n))) || 1;
    const at = ([score, n]: [number, number]): string => `${((100 * (score - low)) / (high - low)).toFixed(2)} ${(34 - (32 * Math.log1p(n)) / most).toFixed(2)}`;
    const area = (part: [number, number][]): string => (part.length ? `M${at([part[0]![0], 0])}L${part.map(at).join("L")}L${at([part.at(-1)![0], 0])}Z` : "");
    const inside = found.scale.filter(([score]) => (words().name === "outliers" ? score >= found.threshold : score <= found.threshold));
    return svg("svg", { viewBox: "0 0 100 34", preserveAspectRatio: "none", class: "passing", "aria-hidden": "true" }, svg("path", { d: area(found.scale) }), svg("path", { d: area(inside), class: "in" }));
  };
  const words = (): (typeof VIEWS)[number] => VIEWS[chosen]!;

  const couple = (pair: Pair, say: (v: number) => string): HTMLElement =>
    h(
      "button",
      { type: "button", class: "pair", "data-key": `pair-${pair.id}-${pair.other ?? ""}`, title: `${pair.id}${pair.other ? ` – ${pair.other}` : ""}`, "aria-label": `${pair.id}${pair.other ? ` beside ${pair.other}` : ""}, ${say(pair.score)}`, onclick: () => void attempt(chooseId(pair.id)) },
      h("span", { class: "frame" }, picture(pair.id, 64)),
      pair.other ? h("span", { class: "frame" }, picture(pair.other, 64)) : null,
      h("span", { class: "score" }, say(pair.score)),
    );

  const suspect = (pair: Pair): HTMLElement | null =>
    pair.voted === undefined
      ? h("span", { class: "names-of quiet small" }, shortId(pair.id))
      : h("div", { class: "doubt" }, h("span", {}, h("s", {}, pair.label ?? "–"), " ", h("b", {}, pair.voted)), writable() ? h("button", { type: "button", class: "small", "data-key": `relabel-${pair.id}`, onclick: () => void attempt(async () => { await label([pair.id], pair.voted!); await load(view?.threshold ?? null); }) }, `Label ${pair.voted}`) : null);

  state.watch(["tab", "info"], () => {
    if (state.get("tab") === "review" && state.get("info") && loaded !== `${state.get("api")?.name} ${chosen}`) void attempt(load(null));
    else if (state.get("tab") === "review") render();
  });
  state.watch(["api"], () => {
    turn++;
    view = asked = null;
    loaded = "";
    note = "";
    chosen = 0;
  });
  render();
  return panel;
}
