// The page: head, filters, map, panel. Everything is put together here and nowhere else.

import { server, spaces } from "./api";
import { follow, keepAddress, spaceInAddress } from "./address";
import { picture, shortId } from "./cards";
import { comparePage } from "./compare";
import { count, h, icon, iconButton, items, put } from "./dom";
import { chooseRow, hitsOf, select, setColour, setKind } from "./explore";
import { filterBar } from "./filterbar";
import { helpDialog, listenForKeys } from "./keys";
import { MapView } from "./map/mapview";
import { Pictures } from "./map/pictures";
import { colouring, css, day, ramp, shown } from "./palette";
import { facetsPanel } from "./panel/facets";
import { chooseFile, fileField, itemPanel } from "./panel/item";
import { reviewPanel } from "./panel/review";
import { selectionPanel } from "./panel/selection";
import { runsPage } from "./runs";
import { state, type Page, type Tab } from "./state";
import { onTheme, startTheme, themeButton } from "./theme";
import { attempt } from "./toast";

startTheme();

const map = new MapView("Map", {
  hovered: (row, px, py) => hover(row, px, py),
  chose: (row) => row >= 0 && void attempt(chooseRow(row)),
  lassoed: (rows, polygon) => {
    map.setLasso(false);
    select(rows, { kind: "lasso", polygon, map: state.get("kind") });
  },
  lassoing: (on) => lasso.setAttribute("aria-pressed", String(on)),
  id: (row) => state.get("ids")?.[row] ?? null,
});

const lasso = iconButton("lasso", "Lasso (L)", () => map.setLasso(!map.lassoOn), { "aria-pressed": "false", id: "lasso" });
const card = h("div", { class: "hover-card", hidden: true, "aria-hidden": "true" });
const status = h("div", { class: "status" });
const projection = h("div", { class: "segments", role: "radiogroup", "aria-label": "Projection" });
const colour = h("select", { id: "colour", "aria-label": "Colour by" });
const legend = h("div", { class: "legend" });
const busy = h("div", { class: "busy", role: "status", hidden: true });
const lacks = h("div", { class: "lacks", role: "alert", hidden: true });
const empty = h("div", { class: "empty", hidden: true });
const unread = h("main", { class: "unread", hidden: true, role: "alert" });

function hover(row: number, px: number, py: number): void {
  const id = row >= 0 ? state.get("ids")?.[row] : undefined;
  card.hidden = id === undefined;
  if (id === undefined) return;
  if (card.dataset["id"] !== id) {
    card.dataset["id"] = id;
    const column = state.get("column");
    const value = column?.codes ? (column.vocabulary?.[column.codes[row]!] ?? null) : column?.numbers ? column.numbers[row]! : null;
    const dot = h("span", { class: "swatch" });
    dot.style.background = css(map.colouring.of(row));
    put(card, state.get("info")?.can.thumbnails ? h("div", { class: "frame" }, picture(id, 96)) : null, h("div", { class: "under" }, h("b", {}, shortId(id)), column ? h("span", {}, dot, `${column.name}: ${shown(value, column.kind)}`) : null));
  }
  const { width, height } = map.camera;
  const [w, t] = [card.offsetWidth, card.offsetHeight];
  card.style.transform = `translate(${Math.round(px + 16 + w > width ? px - 16 - w : px + 16)}px, ${Math.round(Math.max(8, Math.min(height - t - 8, py - t / 2)))}px)`;
}

const centre = h(
  "section",
  { class: "centre", "aria-label": "Map" },
  filterBar(),
  lacks,
  h(
    "div",
    { class: "stage" },
    map.element,
    h("div", { class: "tools top-left" }, projection, h("label", { class: "colour-by" }, h("span", {}, "Colour"), colour)),
    h("div", { class: "tools top-right" }, lasso, iconButton("frame", "Select all in view (A)", () => select(map.inView(), { kind: "ids" }), { id: "in-view" })),
    h("div", { class: "tools bottom-right" }, iconButton("plus", "Zoom in (+)", () => map.zoomBy(1.5)), iconButton("minus", "Zoom out (−)", () => map.zoomBy(1 / 1.5)), iconButton("fit", "Show everything (F)", () => map.fit(true))),
    h("div", { class: "bottom-left" }, legend, status),
    card,
    busy,
    empty,
    h("p", { id: "map-keys", class: "unseen" }, "Arrow keys move, plus and minus zoom, F shows everything, Enter chooses the item nearest to the middle, L is the lasso, A selects all in view."),
  ),
);

const TABS: [Tab, string][] = [["filters", "Filters"], ["item", "Item"], ["selection", "Selection"], ["review", "Review"]];
const tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "Panel" });
tabs.addEventListener("keydown", (event) => {
  const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
  const there = [...tabs.querySelectorAll<HTMLButtonElement>("button")].filter((b) => b.offsetParent);
  const next = there[(there.indexOf(document.activeElement as HTMLButtonElement) + by + there.length) % there.length];
  if (!by || !next) return;
  next.click();
  tabs.querySelector<HTMLElement>(`[data-key="${next.dataset["key"]}"]`)?.focus();
});
const panels: Record<Exclude<Tab, "filters">, HTMLElement> = {
  item: itemPanel(),
  selection: selectionPanel({ lasso: () => map.setLasso(true), inView: () => select(map.inView(), { kind: "ids" }), frame: (rows) => map.frame(rows) }),
  review: reviewPanel(),
};
const right = h("aside", { class: "right", id: "panel" }, Object.entries(panels).map(([name, panel]) => h("div", { role: "tabpanel", id: `panel-${name}`, "aria-labelledby": `tab-${name}` }, panel)));
const left = h("aside", { class: "left", "aria-label": "Filters" }, facetsPanel());
const explore = h("main", { class: "explore" }, left, centre, tabs, right);

const spaceChoice = h("select", { id: "space", "aria-label": "Space" });
spaceChoice.addEventListener("change", () => void attempt(open(spaceChoice.value)));
const nav = h("nav", { "aria-label": "Pages" });
const help = helpDialog();
const upload = h("button", { type: "button", class: "small upload", id: "upload", onclick: chooseFile, hidden: true }, icon("upload", 16), h("span", {}, "Search with a file"));
const brand = h("span", { class: "brand" }, h("span", { class: "mark", "aria-hidden": "true" }), "Semblance");
document.body.append(
  h("a", { class: "skip", href: "#panel", onclick: (e: Event) => { e.preventDefault(); right.querySelector<HTMLElement>("button, input")?.focus(); } }, "Skip to the panel"),
  h("header", {}, brand, spaceChoice, nav, h("span", { class: "gap" }), upload, iconButton("keys", "Keys (?)", () => help.showModal(), { id: "keys" }), themeButton()),
  explore,
  unread,
  fileField(),
  help,
  h("div", { id: "toast" }),
  h("div", { id: "spoken", class: "unseen", role: "status", "aria-live": "polite" }),
);
let compare: HTMLElement | null = null;
let runs: HTMLElement | null = null;
let lost: string | null = null; // why no space is shown

/** Open another space than the one in the address. */
async function open(name: string): Promise<void> {
  history.replaceState(null, "", `/s/${encodeURIComponent(name)}${location.search}`);
  await show(name);
}

/** Follow the address into a space; what keeps it from being shown is said in its place, and the others stay at hand. */
async function show(name: string | null): Promise<void> {
  const all = state.get("spaces");
  try {
    const space = all.find((s) => s.name === name) ?? (name ? undefined : (all.find((s) => !s.error) ?? all[0]));
    if (!space) throw new Error(name ? `No space named ${name} is served here: ${all.map((s) => s.name).join(", ") || "none is"}.` : "No space is served.");
    if (space.error) throw new Error(`${space.name}: ${space.error.detail}`);
    await follow(space.name, map);
    lost = null;
  } catch (error) {
    lost = error instanceof Error ? error.message : String(error);
  }
  renderPage();
}

function renderPage(): void {
  const page = state.get("page");
  const pages: [Page, string][] = [["explore", "Explore"], ["compare", "Compare"], ["runs", "Runs"]];
  put(nav, pages.map(([name, title]) => h("button", { type: "button", "aria-current": name === page ? "page" : null, "data-key": name, onclick: () => state.set({ page: name }) }, title)));
  if (page === "compare" && !compare) document.body.insertBefore((compare = comparePage()), unread);
  if (page === "runs" && !runs) document.body.insertBefore((runs = runsPage((space) => void attempt(async () => { state.set({ spaces: await spaces(), page: "explore" }); await open(space); }))), unread);
  explore.hidden = page !== "explore" || lost !== null;
  unread.hidden = page !== "explore" || lost === null;
  if (lost !== null) put(unread, icon("warning", 28), h("h1", {}, "The space cannot be shown"), h("p", {}, lost), h("button", { type: "button", class: "primary", onclick: () => location.reload() }, "Try again"));
  spaceChoice.hidden = page !== "explore";
  renderTools();
  if (compare) compare.hidden = page !== "compare";
  if (runs) runs.hidden = page !== "runs";
}

function renderTabs(): void {
  const selection = state.get("selection");
  const now = state.get("tab");
  explore.dataset["tab"] = now;
  put(tabs, TABS.map(([name, title]) => h("button", { type: "button", role: "tab", id: `tab-${name}`, "data-key": name, "aria-selected": String(name === now), "aria-controls": name === "filters" ? "filters" : `panel-${name}`, tabindex: name === now ? 0 : -1, class: name, onclick: () => state.set({ tab: name }) }, title, name === "selection" && selection ? h("span", { class: "pill" }, count(selection.rows.length)) : null)));
}

function renderTools(): void {
  const [info, kind] = [state.get("info"), state.get("kind")];
  projection.hidden = info?.can.umap === false; // then there is one way only
  put(projection, (["pca", "umap"] as const).map((name) => h("button", { type: "button", role: "radio", "aria-checked": String(name === kind), "data-key": name, onclick: () => void attempt(setKind(name)) }, name.toUpperCase())));
  const columns = info?.columns.filter((c) => c.kind !== "text" && c.kind !== "list") ?? [];
  put(colour, h("option", { value: "" }, "nothing"), columns.map((c) => h("option", { value: c.name }, c.name)));
  colour.value = state.get("colour") ?? "";
  upload.hidden = !info?.can.upload || !info.items || state.get("page") !== "explore";
  empty.hidden = !info || info.items > 0;
  put(empty, h("p", { class: "lead" }, "No items yet"), h("p", { class: "quiet" }, "This space is empty. Items appear here once they are added."));
}
colour.addEventListener("change", () => void attempt(setColour(colour.value || null)));

function nextColour(): void {
  const names = ["", ...(state.get("info")?.columns ?? []).filter((c) => c.kind !== "text" && c.kind !== "list").map((c) => c.name)];
  void attempt(setColour(names[(names.indexOf(state.get("colour") ?? "") + 1) % names.length] || null));
}

function renderStatus(): void {
  const [info, matches, places] = [state.get("info"), state.get("matches"), state.get("map")];
  if (!info) return put(status);
  const sampled = places && places.fitted < places.x.length ? ` · axes from ${count(places.fitted)}` : "";
  put(status, matches === info.items ? items(info.items) : [h("b", {}, count(matches)), ` of ${items(info.items)}`], sampled);
  map.element.setAttribute("aria-label", map.describe(matches));
  map.element.dataset["matching"] = String(matches);
}

function renderLegend(): void {
  const column = state.get("column");
  legend.hidden = !column?.numbers;
  if (!column?.numbers) return;
  const { low, high } = colouring(column);
  const say = (v: number): string => (column.kind === "time" ? day(v) : shown(v));
  const bar = h("span", { class: "ramp", "aria-hidden": "true" });
  bar.style.background = `linear-gradient(90deg, ${Array.from({ length: 9 }, (_, i) => css(ramp(i / 8))).join(", ")})`;
  put(legend, h("b", {}, column.name), h("span", {}, say(low)), bar, h("span", {}, say(high)));
}

state.watch(["page"], renderPage);
state.watch(["tab", "selection"], renderTabs);
state.watch(["info", "kind", "colour"], renderTools);
state.watch(["info", "matches", "map"], renderStatus);
state.watch(["column"], renderLegend);
onTheme(renderLegend);
state.watch(["lost"], () => {
  const gone = state.get("lost");
  lacks.hidden = !gone.length;
  const names = gone.map((one) => one.space).join(", ");
  const again = (): void => void attempt(show(state.get("api")?.name ?? null));
  put(lacks, icon("warning", 16), h("div", {}, h("p", {}, h("b", {}, names), ` ${gone.length === 1 ? "does" : "do"} not answer: what is found lacks ${gone.length === 1 ? "its" : "their"} items.`), gone.map((one) => h("p", { class: "small quiet" }, one.reason))), h("button", { type: "button", class: "small", "data-key": "ask-again", onclick: again }, "Try again"));
});
state.watch(["busy"], () => {
  busy.hidden = !state.get("busy");
  busy.textContent = state.get("busy") ?? "";
});
state.watch(["spaces", "api"], () => {
  put(spaceChoice, state.get("spaces").map((s) => h("option", { value: s.name }, s.name)));
  spaceChoice.value = state.get("api")?.name ?? spaceInAddress() ?? "";
  document.title = state.get("api") ? `${state.get("api")!.name} · Semblance` : "Semblance";
});
state.watch(["api"], () => {
  const api = state.get("api");
  map.pictures = null;
  if (!api) return;
  map.setMask(null);
  map.setSelected(null);
  map.setPlaces(new Float32Array(), new Float32Array());
});
state.watch(["info", "ids"], () => {
  const api = state.get("api");
  if (api && state.get("ids") && state.get("info")?.can.thumbnails && !map.pictures) map.pictures = new Pictures((id) => api.thumbnail(id, 96), () => map.redraw());
  map.redraw();
});
state.watch(["map"], () => {
  const places = state.get("map");
  if (!places) return;
  map.setPlaces(places.x, places.y);
  map.setColumn(state.get("column"));
  map.setMask(state.get("mask"));
  map.setSelected(state.get("selection")?.rows ?? null);
});
state.watch(["column"], () => map.setColumn(state.get("column")));
state.watch(["mask"], () => map.setMask(state.get("mask")));
state.watch(["selection"], () => map.setSelected(state.get("selection")?.rows ?? null));
let revealed: string | null = null; // brought into sight once, not again whenever its neighbours change
state.watch(["subject", "neighbours", "map"], () => {
  const subject = state.get("subject");
  map.setFocus(subject?.row ?? -1, hitsOf().map((hit) => hit.position));
  if (subject && subject.row >= 0 && subject.id !== revealed) map.reveal(subject.row);
  revealed = subject?.row === -1 ? null : (subject?.id ?? null);
});

async function start(): Promise<void> {
  renderPage();
  renderTabs();
  renderTools();
  try {
    const [about, all] = await Promise.all([server(), spaces()]);
    state.set({ server: about, spaces: all });
  } catch (error) {
    lost = error instanceof Error ? error.message : String(error);
    return renderPage();
  }
  await show(spaceInAddress());
  keepAddress(map);
}

listenForKeys(map, help, nextColour);
Object.assign(window, { semblance: { map, state } }); // for those who look at a page from its console, and for its tests
void start();
