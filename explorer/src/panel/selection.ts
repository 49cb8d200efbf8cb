// A selection: a set of ids with an address, a condition, a file, and a name under which the space keeps it.

import { Refused } from "../api";
import { picture } from "../cards";
import { count, h, icon, items, put } from "../dom";
import { addressOf, chooseId, select, selectedIds, where } from "../explore";
import { labeller } from "../labelling";
import { colouring, css } from "../palette";
import { state } from "../state";
import { onTheme } from "../theme";
import { attempt, told } from "../toast";

const SHOWN = 60;
const GIVEN = 100_000; // ids that are sent in one request

export function selectionPanel(hooks: { lasso(): void; inView(): void; frame(rows: Uint32Array): void }): HTMLElement {
  const body = h("div");
  const label = labeller(() => null);
  const list = h("div");
  const panel = h("div", { class: "selection" }, body, label, list);
  const render = (): void => {
    const selection = state.get("selection");
    label.classList.toggle("gone", !selection?.rows.length);
    if (!selection) {
      put(body, nothing(hooks));
      put(list);
      return;
    }
    put(body, head(selection.rows, hooks.frame), selection.rows.length ? composition(selection.rows) : null, selection.rows.length ? takeAway(selection.rows) : null);
    put(list, gallery(selection.rows));
  };
  state.watch(["selection", "info", "column", "ids", "matches"], render);
  onTheme(render);
  render();
  return panel;
}

function nothing(hooks: { lasso(): void; inView(): void }): HTMLElement {
  const kept = state.get("info")?.selections ?? [];
  const all = (): void => {
    const [mask, n] = [state.get("mask"), state.get("info")?.items ?? 0];
    const rows: number[] = [];
    for (let i = 0; i < n; i++) if (!mask || mask[i]) rows.push(i);
    const condition = where();
    select(Uint32Array.from(rows), condition ? { kind: "where", where: condition } : { kind: "ids" });
  };
  return h(
    "div",
    { class: "invitation" },
    h("p", { class: "lead" }, "Nothing is selected."),
    h("p", { class: "quiet" }, "Draw around points with the lasso, hold Shift and drag, or take what is there:"),
    h(
      "div",
      { class: "stack" },
      h("button", { type: "button", "data-key": "lasso-start", onclick: hooks.lasso }, icon("lasso"), "Lasso ", h("kbd", {}, "L")),
      h("button", { type: "button", "data-key": "in-view", onclick: hooks.inView }, icon("frame"), "All in view ", h("kbd", {}, "A")),
      h("button", { type: "button", "data-key": "all-matching", onclick: all }, icon("check"), `All ${count(state.get("matches"))} that match`),
    ),
    kept.length ? h("div", { class: "kept" }, h("h3", {}, "Kept in this space"), h("ul", {}, kept.map((one) => h("li", {}, h("button", { type: "button", class: "link", onclick: () => void attempt(openNamed(one.name)) }, one.name), h("span", { class: "quiet" }, items(one.items)))))) : null,
  );
}

export async function openNamed(name: string): Promise<void> {
  const rows = await state.get("api")!.selected(name);
  select(Uint32Array.from(rows).sort(), { kind: "named", name });
}

function head(rows: Uint32Array, frame: (rows: Uint32Array) => void): HTMLElement {
  return h(
    "div",
    { class: "section-head big" },
    h("h2", {}, `${items(rows.length)} selected`),
    rows.length ? h("button", { type: "button", class: "link small", "data-key": "frame", onclick: () => frame(rows) }, "Show") : null,
    h("button", { type: "button", class: "link small", "data-key": "clear-selection", onclick: () => select(null, { kind: "ids" }) }, "Clear"),
  );
}

/** Of what the selection is made, in the colours of the map. */
function composition(rows: Uint32Array): HTMLElement | null {
  const column = state.get("column");
  if (!column?.codes || !column.vocabulary) return null;
  const counts = new Map<number, number>();
  for (const row of rows) {
    const code = column.codes[row]! < column.vocabulary.length ? column.codes[row]! : -1;
    counts.set(code, (counts.get(code) ?? 0) + 1);
  }
  const parts = [...counts].sort((a, b) => b[1] - a[1]);
  const colours = colouring(column);
  const named = (code: number): string => column.vocabulary![code] ?? "missing";
  const strip = parts.map(([code, n]) => {
    const part = h("i", { title: `${named(code)}: ${count(n)}` });
    part.style.flexGrow = String(n);
    part.style.background = css(colours.ofCode(code));
    return part;
  });
  const told = parts.slice(0, 4).map(([code, n]) => `${named(code)} ${Math.round((100 * n) / rows.length)} %`);
  return h("div", { class: "composition" }, h("div", { class: "strip", role: "img", "aria-label": `${column.name}: ${told.join(", ")}` }, strip), h("p", { class: "quiet small" }, `${column.name}: ${told.join(" · ")}${parts.length > 4 ? " · …" : ""}`));
}

/** Name, address, condition, files. */
function takeAway(rows: Uint32Array): HTMLElement {
  const selection = state.get("selection")!;
  const name = h("input", { type: "text", "data-key": "selection-name", "aria-label": "Name of the selection", placeholder: "Name it, e.g. blurred", maxlength: 64, value: selection.from.kind === "named" ? selection.from.name : "" });
  const api = state.get("api")!;
  /** Make sure that the server knows the selection: its name there, and whether it outlives the server. */
  const keep = async (as: string): Promise<{ name: string; stored: boolean }> => {
    const { from } = selection;
    if (from.kind === "where") return api.select(as, { where: from.where });
    if (rows.length > GIVEN) {
      const detail = `${items(rows.length)} are too many to send by their ids (at most ${count(GIVEN)}): select by a filter instead, all that match.`;
      throw new Refused({ type: "/problems/too-large", title: "Too many", status: 413, detail });
    }
    return api.select(as, { ids: selectedIds() });
  };
  const save = async (): Promise<void> => {
    const wanted = name.value.trim();
    if (!wanted) return name.focus();
    const kept = await keep(wanted);
    state.set({ info: await api.info(), selection: { rows, from: { kind: "named", name: kept.name } } });
    told(kept.stored ? `Kept as ${kept.name}: space.select("${kept.name}") finds it again.` : `Kept as ${kept.name} until the server stops.`);
  };
  const current = (): Promise<string> => (selection.from.kind === "named" ? Promise.resolve(selection.from.name) : keep("last").then((kept) => kept.name));
  const download = async (format: string): Promise<void> => {
    const link = h("a", { href: api.selectionFile(await current(), format), download: `${api.name}-selection.${format}` });
    document.body.append(link);
    link.click();
    link.remove();
  };
  const copyWhere = async (): Promise<void> => {
    const text = selection.from.kind === "where" ? selection.from.where : await api.whereOf(await current());
    await copy(text, "The condition is copied.");
  };
  const copyLink = async (): Promise<void> => {
    if (!Object.keys(addressOf(selection)).length) {
      const { name } = await keep("last");
      state.set({ selection: { rows, from: { kind: "named", name } } });
    }
    await copy(location.href, "The address is copied: it opens this selection.");
  };
  name.addEventListener("keydown", (event) => {
    if (event.key === "Enter") void attempt(save());
  });
  const button = (key: string, text: string, mark: string, work: () => Promise<void>): HTMLElement => h("button", { type: "button", class: "small", "data-key": key, onclick: () => void attempt(work) }, icon(mark, 15), text);
  return h(
    "div",
    { class: "take-away" },
    h("div", { class: "name-row" }, name, h("button", { type: "button", class: "small primary", "data-key": "keep", onclick: () => void attempt(save) }, "Keep")),
    h("div", { class: "buttons" }, button("csv", "CSV", "download", () => download("csv")), button("parquet", "Parquet", "download", () => download("parquet")), button("link", "Link", "link", copyLink), button("where", "Condition", "tag", copyWhere)),
  );
}

async function copy(text: string, done: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    told(done);
  } catch {
    // Browsers refuse the clipboard outside of secure addresses: then the text is shown to be copied by hand.
    const area = h("textarea", { readonly: true, rows: 5, "aria-label": "Text to copy" });
    area.value = text;
    const dialog = h("dialog", { class: "why" }, h("h2", {}, "Copy this"), area, h("form", { method: "dialog" }, h("button", {}, "Close")));
    document.body.append(dialog);
    dialog.addEventListener("close", () => dialog.remove());
    dialog.showModal();
    area.select();
  }
}

function gallery(rows: Uint32Array): HTMLElement | null {
  const ids = state.get("ids");
  if (!ids || !rows.length) return null;
  const colours = colouring(state.get("column"));
  const shown = Array.from(rows.subarray(0, SHOWN), (row) => ({ row, id: ids[row]! }));
  const open = (id: string, row: number): void => {
    state.set({ queue: Array.from(rows.subarray(0, 5000), (r) => ids[r]!) });
    void attempt(chooseId(id, row));
  };
  return h(
    "section",
    { "aria-label": "Selected items" },
    h("ul", { class: "tiles" }, shown.map(({ row, id }) => {
      const tile = h("button", { type: "button", class: "tile", "data-key": `tile-${id}`, title: id, "aria-label": id, onclick: () => open(id, row) }, picture(id, 64));
      tile.style.setProperty("--hue", css(colours.of(row)));
      return h("li", {}, tile);
    })),
    rows.length > SHOWN ? h("p", { class: "quiet small" }, `The first ${SHOWN} of ${count(rows.length)}.`) : null,
  );
}
