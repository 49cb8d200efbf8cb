// The server's interface, typed. Nothing else in the page makes a request.

export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  remedy?: string;
}

/** An answer that says what went wrong; `problem` is the server's own (RFC 9457), or made up where it did not answer. */
export class Refused extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail);
  }
  get kind(): string {
    return this.problem.type.split("/").pop() ?? "";
  }
}

export interface Can {
  explain: boolean;
  classify: boolean;
  upload: boolean;
  label: boolean;
  write: boolean;
  thumbnails: boolean;
  umap: boolean;
}
/** A shard that did not answer. */
export interface Lost {
  space: string;
  reason: string;
}
export interface SpaceRow {
  name: string;
  title: string | null;
  items: number;
  dim: number;
  domain: string;
  geometry: string;
  recipe: string;
  labels: "none" | "class" | "classes" | "number";
  can: Can;
  shards?: string[]; // served as one
  lost?: Lost[];
  error: Problem | null;
}
export type Kind = "number" | "category" | "text" | "time" | "boolean" | "list";
export interface ColumnInfo {
  name: string;
  kind: Kind;
  nulls: number;
  distinct: number | null;
  min?: number | string | null;
  max?: number | string | null;
  vocabulary?: string[] | null;
}
export interface SpaceInfo extends SpaceRow {
  classes: string[];
  columns: ColumnInfo[];
  selections: { name: string; items: number }[];
  has: { map: { pca: boolean; umap: boolean }; curves: boolean };
}
export type Codes = Uint16Array | Uint32Array;
export interface Column {
  name: string;
  kind: Kind;
  codes: Codes | null; // category, text, boolean
  numbers: Float32Array | Float64Array | null; // number, time
  missing: number | null;
  vocabulary: string[] | null;
  counts: number[] | null;
  min: number | null;
  max: number | null;
}
export interface MapData {
  x: Float32Array;
  y: Float32Array;
  how: string;
  fitted: number;
  rows: string;
}
export type Attribute = string | number | boolean | null | unknown[];
export interface Item {
  id: string;
  position: number;
  attributes: Record<string, Attribute>;
  thumbnail: string | null;
  space?: string; // the shard that holds it
}
export interface Hit extends Item {
  distance: number;
}
export interface Answer {
  hits: Hit[];
  plan: string;
  recall: number;
  matches: number;
  seconds: number;
  geometry: string;
  vector?: number[];
  thumbnail?: string | null;
  lost?: Lost[];
}
export interface Votes {
  label: string | null;
  share: number;
  shares: Record<string, number>;
}
export interface FacetValue {
  value: string;
  total: number;
  matching: number;
}
export interface Facet {
  kind: Kind;
  values?: FacetValue[];
  rest?: { values: number; total: number; matching: number };
  missing?: { total: number; matching: number } | number;
  edges?: number[];
  total?: number[];
  matching?: number[];
  distinct?: number;
}
export interface Facets {
  lost?: Lost[];
  items: number;
  matches: number;
  columns: Record<string, Facet>;
}
export interface Pair {
  id: string;
  other: string | null;
  score: number;
  label?: string;
  voted?: string;
  share?: number;
}
export interface View {
  view: string;
  threshold: number;
  default: number;
  why: string;
  range: [number, number];
  scale: [number, number][];
  total: number;
  unit: string;
  pairs: Pair[];
  border: { inside: Pair[]; outside: Pair[] };
}
export interface Explained {
  items: string[];
  similarity: number;
  measure: string;
  method: string;
  sides: { item: string; kind: string; parts: { name: string; share: number }[]; heat: string | null }[];
  completeness: { item: string; kind: string; sum: number; expected: number; gap: number }[];
  faithful: boolean | null;
  sentence: string;
  notes: string[];
}
export interface Comparison {
  a: string;
  b: string;
  common: number;
  used: number;
  cka: number;
  overlap: { value: number; k: number; low: number | null; high: number | null };
  per_item?: { positions_a: number[]; positions_b: number[]; overlap: number[] };
}
export interface Job {
  id: string;
  kind: string;
  state: "queued" | "running" | "done" | "failed" | "cancelled";
  title: string;
  space: string | null;
  ranking: string | null;
  done: number;
  total: number;
  text: string;
  seconds: number;
  error: Problem | string | null;
}
export interface CurvePoint {
  step: number;
  epoch?: number;
  loss?: number;
  [more: string]: number | string | undefined;
}
export interface Ranking {
  name: string;
  metric: string;
  rows: { recipe: string; value: number; low: number; high: number; seeds: number; seconds: number }[];
  tests: { a: string; b: string; difference: number; p_holm: number; differs: boolean }[];
  runs?: { recipe: string; seed: number; value: number; seconds: number }[];
}
export interface Server {
  version: string;
  read_only: boolean;
  login: boolean;
  domain_sets: string[];
  limits: { upload_bytes: number; k: number };
}
export interface Undo {
  undo: string;
  changed: number;
  classes: string[];
}
/** Either what was asked for, or the job that is making it. */
export type Soon<T> = { ready: T } | { job: Job };

async function ask(path: string, options: RequestInit = {}): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Refused({
      type: "/problems/unreachable",
      title: "No answer",
      status: 0,
      detail: "The server does not answer: see whether `semblance serve` still runs, then try again.",
    });
  }
  if (answer.ok) return answer;
  const problem = (await answer.json().catch(() => null)) as Problem | null;
  if (problem?.detail) throw new Refused(problem);
  throw new Refused({ type: "/problems/failed", title: answer.statusText, status: answer.status, detail: `The server answered ${answer.status} ${answer.statusText}.` });
}

const json = async <T>(path: string, options?: RequestInit): Promise<T> => (await ask(path, options)).json() as Promise<T>;
const body = (value: unknown, signal?: AbortSignal): RequestInit => ({
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify(value),
  ...(signal ? { signal } : {}),
});
const part = encodeURIComponent;
const query = (fields: Record<string, string | number | null | undefined>): string => {
  const given = Object.entries(fields).filter(([, v]) => v !== null && v !== undefined && v !== "");
  return given.length ? "?" + new URLSearchParams(given.map(([k, v]) => [k, String(v)])).toString() : "";
};

export const server = (): Promise<Server> => json("/api/server");
export const spaces = async (): Promise<SpaceRow[]> => (await json<{ spaces: SpaceRow[] }>("/api/spaces")).spaces;
export const recipes = async (): Promise<{ name: string; title: string; domains: string[] | string }[]> => (await json<{ recipes: { name: string; title: string; domains: string[] }[] }>("/api/recipes")).recipes;
export const compare = (a: string, b: string, k: number): Promise<Comparison> => json("/api/compare", body({ a, b, k }));
export const rankings = async (): Promise<{ name: string; recipes: string[]; runs: number }[]> => (await json<{ rankings: { name: string; recipes: string[]; runs: number }[] }>("/api/rankings")).rankings;
export const ranking = (name: string): Promise<Ranking> => json(`/api/rankings/${part(name)}`);
export const jobs = async (): Promise<Job[]> => (await json<{ jobs: Job[] }>("/api/jobs")).jobs;
export const startJob = (request: Record<string, unknown>): Promise<Job> => json("/api/jobs", body(request));
export const stopJob = (id: string): Promise<Response> => ask(`/api/jobs/${part(id)}`, { method: "DELETE" });
export const jobEvents = (id: string): EventSource => new EventSource(`/api/jobs/${part(id)}/events`);

/** Wait until a job ends, telling its progress; a failure is thrown. */
export function finished(job: Job, progress: (done: number, total: number, text: string) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const events = jobEvents(job.id);
    const end = (type: string, settle: (event: MessageEvent) => void): void =>
      events.addEventListener(type, (event) => {
        events.close();
        settle(event as MessageEvent);
      });
    events.addEventListener("progress", (event) => {
      const told = JSON.parse((event as MessageEvent).data) as { done: number; total: number; text: string };
      progress(told.done, told.total, told.text);
    });
    const refuse = (event: MessageEvent): void => {
      const ended = JSON.parse(event.data) as Job;
      const error = ended.error;
      const detail = typeof error === "string" ? error : (error?.detail ?? `${ended.title}: ${ended.state}.`);
      reject(new Refused({ type: "/problems/failed", title: ended.title, status: 500, detail }));
    };
    end("done", () => resolve());
    end("failed", refuse);
    end("cancelled", refuse);
  });
}

/** What one space answers. */
export class SpaceApi {
  readonly base: string;
  constructor(readonly name: string) {
    this.base = `/api/spaces/${part(name)}`;
  }

  info = (): Promise<SpaceInfo> => json(this.base);

  async map(kind: "pca" | "umap"): Promise<Soon<MapData>> {
    const answer = await ask(`${this.base}/map?kind=${kind}`);
    if (answer.status === 202) return { job: ((await answer.json()) as { job: Job }).job };
    const data = new Float32Array(await answer.arrayBuffer());
    const n = data.length / 2;
    const told = JSON.parse(answer.headers.get("X-Map") ?? "{}") as { how?: string; fitted?: number };
    return { ready: { x: data.subarray(0, n), y: data.subarray(n), how: told.how ?? kind, fitted: told.fitted ?? n, rows: answer.headers.get("X-Rows") ?? "" } };
  }

  async ids(): Promise<string[]> {
    const answer = await ask(`${this.base}/ids`);
    if (answer.headers.get("X-Ids") === "int32") return Array.from(new Int32Array(await answer.arrayBuffer()), String);
    return (await answer.json()) as string[];
  }

  async column(name: string, fresh = false): Promise<Column> {
    const answer = await ask(`${this.base}/column/${part(name)}`, fresh ? { cache: "no-cache" } : {});
    return readColumn(await answer.arrayBuffer());
  }

  values = async (column: string, prefix: string, signal?: AbortSignal): Promise<{ value: string; count: number }[]> =>
    (await json<{ values: { value: string; count: number }[] }>(`${this.base}/values/${part(column)}${query({ prefix, limit: 12 })}`, signal ? { signal } : {})).values;

  /** One byte per item, 1 where it matches, and how many do. */
  async mask(where: string, n: number, signal?: AbortSignal): Promise<{ mask: Uint8Array; matches: number }> {
    const bits = new Uint8Array(await (await ask(`${this.base}/mask`, body({ where }, signal))).arrayBuffer());
    const mask = new Uint8Array(n);
    let matches = 0;
    for (let i = 0; i < n; i++) matches += mask[i] = (bits[i >> 3]! >> (i & 7)) & 1;
    return { mask, matches };
  }

  facets = (where: string, signal?: AbortSignal): Promise<Facets> => json(`${this.base}/facets${query({ where })}`, signal ? { signal } : {});
  items = (where: string, limit: number): Promise<{ items: Item[]; matches: number }> => json(`${this.base}/items${query({ where, limit })}`);
  item = (id: string): Promise<Item> => json(`${this.base}/item${query({ id })}`);
  thumbnail = (id: string, size: number): string => `${this.base}/thumbnail${query({ id, size })}`;
  search = (request: Record<string, unknown>, signal?: AbortSignal): Promise<Answer> => json(`${this.base}/search`, body(request, signal));
  classify = (request: Record<string, unknown>, signal?: AbortSignal): Promise<Votes> => json(`${this.base}/classify`, body(request, signal));
  explain = (a: string, b: string): Promise<Explained> => json(`${this.base}/explain`, body({ a, b }));
  label = (ids: string[], label: string | null): Promise<Undo> => json(`${this.base}/labels`, body({ ids, label }));
  undo = (token: string): Promise<Undo> => json(`${this.base}/labels/undo`, body({ undo: token }));
  select = (name: string, what: { ids: string[] } | { where: string }): Promise<{ name: string; items: number; stored: boolean }> => json(`${this.base}/select`, body({ name, ...what }));
  selections = async (): Promise<{ name: string; items: number }[]> => (await json<{ selections: { name: string; items: number }[] }>(`${this.base}/selections`)).selections;
  selectionFile = (name: string, format: string): string => `${this.base}/selections/${part(name)}${query({ format })}`;
  selected = async (name: string): Promise<number[]> => (await json<{ positions: number[] }>(this.selectionFile(name, "json"))).positions;
  whereOf = async (name: string): Promise<string> => (await ask(this.selectionFile(name, "where"))).text();
  forget = (name: string): Promise<Response> => ask(`${this.base}/selections/${part(name)}`, { method: "DELETE" });
  curves = async (): Promise<CurvePoint[]> => (await json<{ points: CurvePoint[] }>(`${this.base}/curves`)).points;

  upload(file: File, where: string, k: number): Promise<Answer> {
    const form = new FormData();
    form.set("file", file);
    if (where) form.set("where", where);
    form.set("k", String(k));
    return json(`${this.base}/search/upload`, { method: "POST", body: form });
  }

  async view(name: string, threshold: number | null, signal?: AbortSignal): Promise<Soon<View>> {
    const answer = await ask(`${this.base}/views/${name}${query({ threshold, limit: 60 })}`, signal ? { signal } : {});
    const told = (await answer.json()) as View & { job: Job };
    return answer.status === 202 ? { job: told.job } : { ready: told };
  }
}

/** A framed column: length of the header, header, data. */
export function readColumn(buffer: ArrayBuffer): Column {
  const length = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length))) as Column & { dtype: string };
  const types = { uint16: Uint16Array, uint32: Uint32Array, float32: Float32Array, float64: Float64Array };
  const data = new types[head.dtype as keyof typeof types](buffer, 4 + length);
  const coded = head.dtype.startsWith("uint");
  return { ...head, codes: coded ? (data as Codes) : null, numbers: coded ? null : (data as Float32Array) };
}
