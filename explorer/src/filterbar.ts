// The filter: choices of the facets as chips, a condition as text with completion of columns, signs and values.

import type { ColumnInfo } from "./api";
import { calm, count, h, icon, put } from "./dom";
import { applyFilter, pick } from "./explore";
import { state } from "./state";
import { attempt } from "./toast";
import { column, expected, inWords, written, type Completion, type Expected } from "./where";

export function filterBar(): HTMLElement {
  const input = h("input", {
    id: "filter", type: "text", role: "combobox", autocomplete: "off", spellcheck: "false", "aria-autocomplete": "list", "aria-expanded": "false",
    "aria-controls": "completions", "aria-label": "Filter: a condition on the attributes", "aria-describedby": "filter-said",
    placeholder: "Filter",
  });
  const list = h("ul", { id: "completions", role: "listbox", class: "completions", "aria-label": "Completions", hidden: true });
  const chips = h("div", { class: "chips" });
  const said = h("p", { id: "filter-said", class: "filter-said", role: "status" });
  const clear = h("button", { type: "button", class: "icon clear", "aria-label": "Clear the filter", title: "Clear the filter", onclick: () => { input.value = ""; hide(); void attempt(applyFilter({ text: "", picks: new Map() })); } }, icon("close", 15));

  let options: Completion[] = [];
  let at: Expected | null = null;
  let active = -1;
  let turn = 0;
  let muted = false; // closed by the reader, until the next letter

  const hide = (): void => {
    turn++;
    muted = true;
    list.hidden = true;
    active = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };

  const show = (): void => {
    list.replaceChildren(
      ...options.map((option, i) =>
        h(
          "li",
          { id: `completion-${i}`, role: "option", "aria-selected": String(i === active), class: i === active ? "active" : "", onpointerdown: (e: Event) => { e.preventDefault(); take(i); } },
          h("span", { class: "word" }, option.shown),
          h("span", { class: "note" }, option.note),
        ),
      ),
    );
    list.hidden = options.length === 0;
    input.setAttribute("aria-expanded", String(!list.hidden));
    if (active >= 0) {
      input.setAttribute("aria-activedescendant", `completion-${active}`);
      list.children[active]?.scrollIntoView({ block: "nearest" });
    } else input.removeAttribute("aria-activedescendant");
  };

  const suggest = async (): Promise<void> => {
    if (muted) return;
    const mine = ++turn;
    const of = input.value;
    at = expected(input.value, input.selectionStart ?? input.value.length, state.get("info")?.columns ?? []);
    options = at.words;
    const info = at.valuesOf;
    const api = state.get("api");
    if (info && api && (info.kind === "category" || info.kind === "text" || info.kind === "boolean")) {
      const values = await api.values(info.name, at.prefix.replace(/^'/, "").replace(/'$/, ""));
      options = values.map((v) => ({ insert: written(info, v.value), shown: v.value, note: count(v.count) }));
    } else if (info?.min !== undefined && info.min !== null) {
      options = [info.min, info.max!].map((v, i) => ({ insert: written(info, String(v)), shown: String(v), note: i ? "highest" : "lowest" }));
    }
    if (mine !== turn || document.activeElement !== input) return;
    const same = list.dataset["of"] === of && !list.hidden; // suggested once more: what was chosen of it stays chosen
    list.dataset["of"] = of;
    if (!same) active = -1;
    show();
  };
  const suggestSoon = calm(90, () => void attempt(suggest()));

  const take = (i: number): void => {
    const option = options[i];
    if (!option || !at) return;
    const caret = input.selectionStart ?? input.value.length;
    const tail = option.insert.endsWith("(") ? "" : " ";
    const before = input.value.slice(0, at.from) + option.insert + tail;
    input.value = before + input.value.slice(caret).replace(/^\s+/, "");
    input.setSelectionRange(before.length, before.length);
    input.focus();
    muted = false;
    void attempt(suggest());
    typed();
  };

  let trying = 0; // quiet attempts that are not answered yet: one made aloud takes their place, or its refusal would be missed
  const apply = (quietly = false): void => {
    if (input.value.trim() === state.get("text").trim() && (quietly || !trying)) return;
    if (quietly) trying++;
    void attempt(applyFilter({ text: input.value }, quietly)).finally(() => void (quietly && trying--));
  };
  // While typing, a condition that is not yet whole stays quiet: what applies is tried after a pause.
  const typed = calm(450, () => {
    if (whole(input.value) && document.activeElement === input) apply(true);
  });

  const wake = (): void => {
    muted = false;
    suggestSoon();
  };
  input.addEventListener("input", () => {
    if (state.get("filterError")) state.set({ filterError: null });
    wake();
    typed();
  });
  input.addEventListener("focus", wake);
  input.addEventListener("click", wake);
  input.addEventListener("blur", () => {
    hide();
    apply();
  });
  input.addEventListener("keydown", (event) => {
    const open = !list.hidden && options.length > 0;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!open) return wake();
      const n = options.length;
      active = event.key === "ArrowDown" ? (active + 1) % n : (active <= 0 ? n : active) - 1;
      show();
    } else if (event.key === "Tab" && open && active >= 0 && !event.shiftKey) {
      event.preventDefault();
      take(active);
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (open && active >= 0) take(active);
      else {
        hide();
        apply();
      }
    } else if (event.key === "Escape") {
      if (open) event.stopPropagation();
      hide();
    }
  });

  const render = (): void => {
    input.placeholder = example(state.get("info")?.columns ?? [], state.get("info")?.items ?? 0);
    const picks = state.get("picks");
    put(
      chips,
      [...picks].map(([name, choice]) =>
        h("button", { type: "button", class: "chip", "data-key": `chip-${name}`, "aria-label": `Remove ${inWords(name, choice)}`, onclick: () => void attempt(pick(name, null)) }, inWords(name, choice), icon("close", 13)),
      ),
    );
    const error = state.get("filterError");
    said.textContent = error ?? "";
    said.hidden = !error;
    input.setAttribute("aria-invalid", String(!!error));
    if (document.activeElement !== input) input.value = state.get("text");
    clear.hidden = !picks.size && !input.value && !state.get("text");
  };
  input.addEventListener("input", render);
  state.watch(["picks", "text", "filterError", "info"], render);
  render();
  return h("div", { class: "filterbar", role: "search" }, h("div", { class: "field" }, icon("search", 16), chips, input, clear), list, said);
}

/** Whether a text reads like a whole condition: it does not end in a word that wants another, and its quotes are closed. */
function whole(text: string): boolean {
  if (!text.trim()) return true;
  if ((text.match(/'/g)?.length ?? 0) % 2) return false;
  if (/(^|\s)(and|or|not|in|is|like|between)\s*$/i.test(text) || /[=<>(,]\s*$/.test(text)) return false;
  return /[=<>]|\b(in|is|like|between|not)\b/i.test(text);
}

/** "Filter, e.g. …" with columns that the space has. */
function example(columns: readonly ColumnInfo[], n: number): string {
  const parts: string[] = [];
  const number = columns.find((c) => c.kind === "number" && c.distinct !== n && typeof c.min === "number" && typeof c.max === "number" && c.max > c.min);
  if (number) {
    const middle = ((number.min as number) + (number.max as number)) / 2;
    parts.push(`${column(number.name)} >= ${Number.isInteger(number.min) ? Math.round(middle) : Number(middle.toPrecision(2))}`);
  }
  const categories = columns.filter((c) => c.kind === "category" && c.vocabulary?.length);
  const category = categories.find((c) => c.name === "label") ?? categories[0];
  if (category) parts.push(`${column(category.name)} = ${written(category, category.vocabulary![0]!)}`);
  return parts.length ? `Filter, e.g. ${parts.join(" and ")}` : "Filter";
}
