// Two spaces side by side: what is selected or hovered on one map is so on the other, and how far they agree is said.

import * as api from "./api";
import { SpaceApi, type Column, type Comparison, type SpaceInfo } from "./api";
import { count, h, items, put } from "./dom";
import { MapView } from "./map/mapview";
import { state } from "./state";
import { attempt } from "./toast";

interface Side {
  map: MapView;
  api: SpaceApi | null;
  ids: string[];
  row: Map<string, number>;
  choose: HTMLSelectElement;
  note: HTMLElement;
  info: SpaceInfo | null;
  column: Column | null;
}

const K = 10;

export function comparePage(): HTMLElement {
  const figures = h("div", { class: "figures", role: "status" });
  const tip = h("div", { class: "linked", role: "status" });
  const sides: Side[] = [0, 1].map((which) => makeSide(which, (row) => link(which, row), (rows) => choose(which, rows)));
  const [left, right] = sides as [Side, Side];
  let chosen = new Set<string>();
  const lasso = h("button", { type: "button", class: "small", "aria-pressed": "false", onclick: () => sides.forEach((side) => side.map.setLasso(!side.map.lassoOn)) }, "Lasso");
  const clear = h("button", { type: "button", class: "link small", hidden: true, onclick: () => choose(0, null) }, "Clear the selection");

  const link = (which: number, row: number): void => {
    const id = sides[which]!.ids[row];
    const there = sides[1 - which]!;
    there.map.setHover(id === undefined ? -1 : (there.row.get(id) ?? -1));
    tip.textContent = id === undefined ? (chosen.size ? `${items(chosen.size)} selected` : "Point at an item to see where it lies in the other space.") : there.row.has(id) ? id : `${id} is not in the other space`;
  };

  const choose = (which: number, rows: Uint32Array | null): void => {
    chosen = new Set(Array.from(rows ?? [], (row) => sides[which]!.ids[row]!));
    for (const side of sides) {
      if (!rows) side.map.setSelected(null);
      else side.map.setSelected(Uint32Array.from([...chosen].map((id) => side.row.get(id)).filter((r): r is number => r !== undefined)));
    }
    clear.hidden = !rows;
    lasso.setAttribute("aria-pressed", "false");
    sides.forEach((side) => side.map.setLasso(false));
    link(which, -1);
  };

  let found: Comparison | null = null;
  let byAgreement = false;
  const paint = h("div", { class: "segments", role: "radiogroup", "aria-label": "Colour" });
  const colourBoth = (): void => {
    const per = found?.per_item;
    const name = left.column?.name ?? right.column?.name;
    const choice = (agreement: boolean, title: string): HTMLElement => h("button", { type: "button", role: "radio", "aria-checked": String(agreement === byAgreement), "data-key": title, onclick: () => { byAgreement = agreement; colourBoth(); } }, title);
    put(paint, choice(false, name ?? "plain"), per ? choice(true, "agreement") : null);
    left.map.setColumn(byAgreement && per ? agreement(left.ids.length, per.positions_a, per.overlap) : left.column);
    right.map.setColumn(byAgreement && per ? agreement(right.ids.length, per.positions_b, per.overlap) : right.column);
  };

  /** Places, ids and colours of both. One kind of map for both, or the comparison would be of the kinds. */
  const load = async (): Promise<void> => {
    const mine = ++loading;
    const apis = sides.map((side) => new SpaceApi(side.choose.value));
    const infos = await Promise.all(apis.map((one) => one.info()));
    const kind = infos.every((info) => info.has.map.umap) ? "umap" : "pca";
    await Promise.all(
      sides.map(async (side, which) => {
        const [space, info] = [apis[which]!, infos[which]!];
        const usable = (name: string | null): string | undefined => info.columns.find((c) => c.name === name && c.kind !== "list" && c.kind !== "text")?.name;
        const colour = usable(state.get("colour")) ?? usable("label") ?? info.columns.find((c) => c.kind === "category" && c.name !== "split")?.name;
        const [map, ids, column] = await Promise.all([space.map(kind), space.ids(), colour ? space.column(colour) : null]);
        if (mine !== loading || !("ready" in map)) return;
        [side.api, side.info, side.ids, side.column] = [space, info, ids, column];
        side.row = new Map(ids.map((id, row) => [id, row]));
        side.map.setPlaces(map.ready.x, map.ready.y);
        side.note.textContent = `${items(info.items)} · ${info.dim} dimensions · ${info.recipe || "as it is"} · ${map.ready.how.toUpperCase()}`;
      }),
    );
    if (mine === loading) colourBoth();
  };
  let loading = 0;

  let turn = 0;
  const judge = async (): Promise<void> => {
    const mine = ++turn;
    found = null;
    put(figures, h("p", { class: "quiet" }, "Comparing …"));
    try {
      const answer = await api.compare(left.choose.value, right.choose.value, K);
      if (mine !== turn) return;
      found = answer;
      put(figures, told(answer));
    } catch (error) {
      if (mine === turn) put(figures, h("p", { class: "problem" }, error instanceof Error ? error.message : String(error)));
    }
  };

  const both = async (judged: boolean): Promise<void> => {
    byAgreement = false;
    await Promise.all([load(), judged ? judge() : undefined]);
    colourBoth();
  };

  let names = "";
  const refresh = (): void => {
    if (state.get("page") !== "compare") return;
    const spaces = state.get("spaces").filter((space) => !space.error);
    if (names === spaces.map((s) => s.name).join("/")) return;
    names = spaces.map((s) => s.name).join("/");
    sides.forEach((side, which) => {
      put(side.choose, spaces.map((space) => h("option", { value: space.name }, space.name)));
      side.choose.value = which ? (spaces.find((s) => s.name !== left.choose.value) ?? spaces[0])?.name ?? "" : (state.get("api")?.name ?? spaces[0]?.name ?? "");
    });
    page.classList.toggle("single", spaces.length < 2);
    if (spaces.length) void attempt(both(spaces.length > 1));
    if (spaces.length < 2) put(figures, h("p", { class: "quiet" }, "Only one space is served. Start with two to compare them: ", h("code", {}, "semblance serve A.space B.space")));
  };
  sides.forEach((side) => side.choose.addEventListener("change", () => void attempt(both(true))));
  const page = h(
    "main",
    { class: "compare", id: "compare" },
    h("div", { class: "compare-head" }, figures, h("div", { class: "compare-tools" }, tip, clear, paint, lasso)),
    sides.map((side) => h("section", { class: "half", "aria-label": "A space" }, h("div", { class: "half-head" }, side.choose, side.note), side.map.element)),
  );
  sides.forEach((side) => side.map.element.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() === "l" && !event.ctrlKey && !event.metaKey) sides.forEach((other) => other.map.setLasso(!other.map.lassoOn));
  }));
  new MutationObserver(() => lasso.setAttribute("aria-pressed", String(left.map.lassoOn))).observe(left.map.element, { attributeFilter: ["class"] });
  state.watch(["page", "spaces"], refresh);
  refresh();
  link(0, -1);
  return page;
}

function makeSide(which: number, hovered: (row: number) => void, selected: (rows: Uint32Array | null) => void): Side {
  const side: Side = {
    api: null,
    ids: [],
    row: new Map(),
    choose: h("select", { "aria-label": which ? "Second space" : "First space", id: `space-${which ? "b" : "a"}` }),
    note: h("span", { class: "quiet small" }),
    info: null,
    column: null,
    map: new MapView(which ? "Map of the second space" : "Map of the first space", {
      hovered: (row) => hovered(row),
      chose: (row) => (row < 0 ? selected(null) : selected(Uint32Array.of(row))),
      lassoed: (rows) => selected(rows),
      lassoing: () => undefined,
      id: (row) => side.ids[row] ?? null,
    }),
  };
  return side;
}

function told(found: Comparison): HTMLElement {
  const share = (v: number | null): string => (v === null ? "–" : `${Math.round(100 * v)} %`);
  const one = (value: string, name: string, note: string): HTMLElement => h("div", { class: "figure" }, h("b", {}, value), h("span", {}, name), h("small", { class: "quiet" }, note));
  const { overlap } = found;
  return h(
    "div",
    { class: "figure-row" },
    one(share(overlap.value), "neighbours in common", `of the ${overlap.k} nearest${overlap.low !== null ? `, 95 % interval ${share(overlap.low)} – ${share(overlap.high)}` : ""}`),
    one(found.cka.toFixed(2), "linear CKA", "1: the same up to rotation and scale"),
    one(count(found.common), "items in both", found.used < found.common ? `measured on ${count(found.used)}` : "all measured"),
  );
}

/** How many of an item's nearest are the same in both, as a column of numbers; NaN where it was not measured. */
function agreement(n: number, positions: number[], overlap: number[]): Column {
  const numbers = new Float32Array(n).fill(NaN);
  positions.forEach((row, i) => (numbers[row] = overlap[i]!));
  return { name: "agreement", kind: "number", codes: null, numbers, missing: null, vocabulary: null, counts: null, min: 0, max: 1 };
}
