// What the page does: open a space, filter it, choose and select items, label them. Views call these and watch the state.

import { finished, Refused, SpaceApi, type Answer, type Hit, type Item, type Lost } from "./api";
import { items, say } from "./dom";
import { columnInfo, state, type MapKind, type Pick, type Selection, type Source, type Subject } from "./state";
import { attempt, told } from "./toast";
import { joined } from "./where";

export const NEIGHBOURS = 12;
const EXACT_IDS = 200; // selections up to this size have their ids in the address

let idsComing: Promise<string[]> = Promise.resolve([]);
let latest = { space: 0, map: 0, filter: 0, subject: 0 };
const aborts: Partial<Record<"filter" | "facets" | "subject", AbortController>> = {};

function fresh(key: "filter" | "facets" | "subject"): AbortSignal {
  aborts[key]?.abort();
  return (aborts[key] = new AbortController()).signal;
}
const aborted = (error: unknown): boolean => error instanceof DOMException && error.name === "AbortError";

/** The whole condition: facets and text. */
export const where = (): string => joined(state.get("text"), state.get("picks"), state.get("info")?.columns ?? []);

export async function openSpace(name: string, kind: MapKind = "pca", colour?: string): Promise<void> {
  const mine = ++latest.space;
  const api = new SpaceApi(name);
  // What was asked of the space before belongs to nobody now.
  for (const key of ["filter", "facets", "subject"] as const) fresh(key);
  for (const key of ["filter", "subject"] as const) latest[key]++;
  state.set({ api, lost: [], info: null, map: null, ids: null, column: null, colour: null, text: "", picks: new Map(), mask: null, matches: 0 });
  state.set({ facets: null, filterError: null, subject: null, neighbours: null, votes: null, selection: null, queue: [], undo: [], kind, busy: "Opening the space" });
  try {
    // All at once: none of these needs another's answer.
    const map = loadMap(api, kind, mine);
    const info = await api.info();
    if (mine !== latest.space) return;
    state.set({ info, matches: info.items });
    lacking(info.lost);
    await Promise.all([map, setColour(colour !== undefined && columnInfo(colour) ? colour : firstColour())]);
    if (mine !== latest.space) return;
    state.set({ busy: null });
    const ids = await (idsComing = api.ids());
    if (mine === latest.space) state.set({ ids });
    void attempt(loadFacets());
  } catch (error) {
    if (mine !== latest.space) return;
    state.set({ busy: null });
    throw error;
  }
}

/** Note which shards an answer lacks; a space by itself says nothing of any. */
function lacking(lost: readonly Lost[] | undefined): void {
  if (lost && JSON.stringify(lost) !== JSON.stringify(state.get("lost"))) state.set({ lost });
}

/** The label if there is one, else the first category, else the first number. */
function firstColour(): string | null {
  const columns = state.get("info")?.columns ?? [];
  const named = columns.find((c) => c.name === "label" && c.kind !== "text" && c.kind !== "list");
  const category = columns.find((c) => c.kind === "category" && c.name !== "split" && (c.distinct ?? 0) > 1);
  const number = columns.find((c) => c.kind === "number" && (c.distinct ?? 2) > 1 && c.distinct !== state.get("info")!.items);
  return (named ?? category ?? number)?.name ?? null;
}

/** PCA at once; UMAP when it is ready, with its progress told. What is shown stays until the other is there. */
async function loadMap(api: SpaceApi, kind: MapKind, mine: number): Promise<void> {
  const turn = ++latest.map;
  const current = (): boolean => mine === latest.space && turn === latest.map;
  let answer = await api.map(kind);
  if ("job" in answer && current()) {
    state.set({ busy: "Making the UMAP" });
    await finished(answer.job, (done, total, text) => {
      if (current()) state.set({ busy: `Making the UMAP: ${text || (total ? `${Math.round((100 * done) / total)} %` : "working")}` });
    });
    answer = await api.map(kind);
  }
  if (!current()) return;
  state.set({ busy: null });
  if ("ready" in answer) state.set({ map: answer.ready, kind });
}

export async function setKind(kind: MapKind): Promise<void> {
  const api = state.get("api");
  if (!api || (kind === state.get("kind") && state.get("map"))) return;
  try {
    await loadMap(api, kind, latest.space);
  } catch (error) {
    state.set({ busy: null });
    throw error;
  }
}

let colourTurn = 0;
export async function setColour(name: string | null): Promise<void> {
  const api = state.get("api");
  const turn = ++colourTurn;
  if (!api || !name) return state.set({ colour: name, column: null });
  state.set({ colour: name });
  const column = await api.column(name);
  if (turn === colourTurn && api === state.get("api")) state.set({ column });
}

/** `quietly`: while it is still being typed, a condition that the server refuses changes nothing and is not complained of. */
export async function applyFilter(change: { text?: string; picks?: ReadonlyMap<string, Pick> }, quietly = false): Promise<void> {
  const before = state.get("text");
  state.set(change);
  const [api, info] = [state.get("api"), state.get("info")];
  if (!api || !info) return;
  const turn = ++latest.filter;
  const condition = where();
  if (!condition) {
    fresh("filter");
    state.set({ mask: null, matches: info.items, filterError: null });
  } else {
    try {
      const { mask, matches } = await api.mask(condition, info.items, fresh("filter"));
      if (turn !== latest.filter) return;
      state.set({ mask, matches, filterError: null });
      say(`${items(matches)} of ${info.items} match`);
    } catch (error) {
      if (aborted(error) || turn !== latest.filter) return;
      if (!(error instanceof Refused)) throw error;
      state.set(quietly ? { text: before } : { filterError: error.message });
      return;
    }
  }
  await Promise.all([loadFacets(), againNeighbours("filtered")]);
}

export function pick(name: string, choice: Pick | null): Promise<void> {
  const picks = new Map(state.get("picks"));
  if (choice === null || ("values" in choice && !choice.values.length)) picks.delete(name);
  else picks.set(name, choice);
  return applyFilter({ picks });
}

export async function loadFacets(): Promise<void> {
  const api = state.get("api");
  if (!api) return;
  try {
    const facets = await api.facets(where(), fresh("facets"));
    if (api !== state.get("api")) return;
    state.set({ facets });
    lacking(facets.lost);
  } catch (error) {
    if (!aborted(error)) throw error;
  }
}

/** Show an item of the space, with its neighbours and votes. */
export async function chooseId(id: string, row?: number): Promise<void> {
  const at = row ?? state.get("ids")?.indexOf(id) ?? -1;
  const can = state.get("info")?.can;
  const picture = can?.thumbnails ? state.get("api")!.thumbnail(id, 192) : null;
  state.set({ subject: { id, row: at, name: id, picture, item: null, vector: null }, neighbours: null, votes: null, tab: "item" });
  await againNeighbours("chosen");
}

export async function chooseRow(row: number): Promise<void> {
  const api = state.get("api");
  const ids = state.get("ids") ?? (await idsComing); // the map is there before the ids are
  if (api === state.get("api") && ids[row] !== undefined) await chooseId(ids[row], row);
}

export function clearSubject(): void {
  latest.subject++;
  state.set({ subject: null, neighbours: null, votes: null });
}

/** Search with a file of the reader's. */
export async function searchFile(file: File): Promise<void> {
  const api = state.get("api");
  const limit = state.get("server")?.limits.upload_bytes ?? Infinity;
  if (!api) return;
  if (file.size > limit) {
    const megabytes = (n: number): string => `${(n / 2 ** 20).toFixed(1)} MB`;
    return told(`${file.name} has ${megabytes(file.size)}, and the server takes ${megabytes(limit)}: make it smaller.`, { bad: true });
  }
  const turn = ++latest.subject;
  state.set({ busy: `Searching with ${file.name}`, tab: "item" });
  try {
    const answer: Answer = await api.upload(file, where(), NEIGHBOURS);
    if (turn !== latest.subject) return;
    const subject: Subject = { id: null, row: -1, name: file.name, picture: answer.thumbnail ?? null, item: null, vector: answer.vector ?? null };
    state.set({ subject, neighbours: answer, votes: null, queue: answer.hits.map((h) => h.id) });
    say(`${answer.hits.length} neighbours of ${file.name}`);
    lacking(answer.lost);
    if (state.get("info")?.can.classify && subject.vector) {
      const votes = await api.classify({ vector: subject.vector, where: where() || null });
      if (turn === latest.subject) state.set({ votes });
    }
  } finally {
    state.set({ busy: null });
  }
}

/** Ask for the neighbours of what the panel shows: it was just chosen, or the filter changed, or labels did. */
async function againNeighbours(why: "chosen" | "filtered" | "relabelled"): Promise<void> {
  const [api, subject, info] = [state.get("api"), state.get("subject"), state.get("info")];
  if (!api || !subject || !info) return;
  const turn = ++latest.subject;
  const signal = fresh("subject");
  const asked = subject.id !== null ? { id: subject.id } : { vector: subject.vector };
  if (subject.id === null && !subject.vector) return;
  try {
    const wanted = api.search({ ...asked, where: where() || null, k: NEIGHBOURS }, signal);
    const voted = info.can.classify ? api.classify({ ...asked, where: where() || null }, signal).catch((error: unknown) => (error instanceof Refused || aborted(error) ? null : Promise.reject(error))) : null;
    const item: Item | null = subject.id !== null && why !== "filtered" ? await api.item(subject.id) : subject.item;
    const answer = await wanted;
    if (turn !== latest.subject) return;
    state.set({ subject: { ...subject, item, row: item?.position ?? subject.row }, neighbours: answer });
    if (why === "chosen") say(`${subject.name}, ${answer.hits.length} neighbours`); // at once: a listener need not wait for the votes
    lacking(answer.lost);
    const votes = voted ? await voted : null;
    if (turn === latest.subject) state.set({ votes });
  } catch (error) {
    if (aborted(error)) return;
    if (turn === latest.subject && why === "chosen") clearSubject();
    throw error;
  }
}

export const hitsOf = (): Hit[] => state.get("neighbours")?.hits ?? [];

export function select(rows: Uint32Array | null, from: Source): void {
  const selection: Selection | null = rows && { rows, from };
  state.set(selection ? { selection, tab: "selection" } : { selection });
  if (selection) say(`${items(selection.rows.length)} selected`);
}

export const selectedIds = (): string[] => {
  const ids = state.get("ids") ?? [];
  return Array.from(state.get("selection")?.rows ?? [], (row) => ids[row]!);
};

/** Give items a label (null takes it away). The map, the facets and the votes show it at once. */
export async function label(ids: string[], name: string | null): Promise<void> {
  const api = state.get("api");
  if (!api || !ids.length) return;
  const { undo, changed } = await api.label(ids, name);
  if (!changed) return told(name === null ? "There is no label to take away." : `Labelled ${name} already.`);
  const said = `${items(changed)} ${name === null ? "without label" : `labelled ${name}`}`;
  state.set({ undo: [...state.get("undo"), { token: undo, said }] });
  told(said, { action: "Undo", onaction: () => void attempt(undoLabel()) });
  await relabelled();
}

export async function undoLabel(): Promise<void> {
  const api = state.get("api");
  const last = state.get("undo").at(-1);
  if (!api || !last) return told("Nothing to undo.");
  state.set({ undo: state.get("undo").slice(0, -1) });
  await api.undo(last.token);
  told(`Undone: ${last.said}`);
  await relabelled();
}

async function relabelled(): Promise<void> {
  const api = state.get("api");
  if (!api) return;
  const colour = state.get("colour");
  const [info, column] = await Promise.all([api.info(), colour === "label" ? api.column(colour, true) : state.get("column")]);
  if (api !== state.get("api")) return;
  state.set({ info, column });
  const subject = state.get("subject");
  await Promise.all([where() ? applyFilter({}) : loadFacets(), subject?.id ? againNeighbours("relabelled") : undefined]);
}

/** What the address of a selection holds. */
export function addressOf(selection: Selection): Record<string, string> {
  const { from, rows } = selection;
  if (from.kind === "named") return { selection: from.name };
  if (from.kind === "where") return { within: from.where };
  const ids = state.get("ids");
  if (rows.length <= EXACT_IDS && ids) return { ids: JSON.stringify(Array.from(rows, (row) => ids[row])) };
  if (from.kind === "lasso") return { lasso: `${from.map};${from.polygon.map((v) => v.toFixed(4)).join(",")}` };
  return {};
}
