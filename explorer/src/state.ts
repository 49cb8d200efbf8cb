// What the page shows at the moment. One store; everything else reads it and is told of changes.

import type { Column, ColumnInfo, Facets, Hit, Item, Lost, MapData, Server, SpaceApi, SpaceInfo, SpaceRow, Votes } from "./api";
import { Store } from "./store";

/** A choice in a facet: values of a category (null: missing), or a range of a number. */
export type Pick = { values: (string | null)[] } | { low: number | null; high: number | null; time: boolean };

/** Where a selection came from: what its address repeats. */
export type Source = { kind: "lasso"; polygon: number[]; map: MapKind } | { kind: "ids" } | { kind: "where"; where: string } | { kind: "named"; name: string };
export interface Selection {
  rows: Uint32Array;
  from: Source;
}
export type MapKind = "pca" | "umap";
export type Page = "explore" | "compare" | "runs";
export type Tab = "filters" | "item" | "selection" | "review";

/** What the panel shows: an item of the space, or a query of the reader's. */
export interface Subject {
  id: string | null; // null: a file that was brought
  row: number;
  name: string;
  picture: string | null;
  item: Item | null;
  vector: number[] | null;
}
export interface Neighbours {
  hits: Hit[];
  plan: string;
  recall: number;
  matches: number;
  seconds: number;
}

export interface State {
  server: Server | null;
  spaces: SpaceRow[];
  page: Page;
  tab: Tab;
  api: SpaceApi | null;
  lost: readonly Lost[]; // shards whose items what is found lacks
  info: SpaceInfo | null;
  kind: MapKind;
  map: MapData | null;
  ids: string[] | null;
  colour: string | null;
  column: Column | null;
  text: string;
  picks: ReadonlyMap<string, Pick>;
  mask: Uint8Array | null;
  matches: number;
  facets: Facets | null;
  filterError: string | null;
  subject: Subject | null;
  neighbours: Neighbours | null;
  votes: Votes | null;
  selection: Selection | null;
  queue: readonly string[]; // ids that "next" walks through
  undo: readonly { token: string; said: string }[];
  busy: string | null;
}

export const state = new Store<State>({
  server: null,
  spaces: [],
  page: "explore",
  tab: "item",
  api: null,
  lost: [],
  info: null,
  kind: "pca",
  map: null,
  ids: null,
  colour: null,
  column: null,
  text: "",
  picks: new Map(),
  mask: null,
  matches: 0,
  facets: null,
  filterError: null,
  subject: null,
  neighbours: null,
  votes: null,
  selection: null,
  queue: [],
  undo: [],
  busy: null,
});

export const columnInfo = (name: string): ColumnInfo | undefined => state.get("info")?.columns.find((c) => c.name === name);
export const writable = (): boolean => !!state.get("info")?.can.label && !state.get("server")?.read_only;
