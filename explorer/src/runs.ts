// Fits and rankings: start one, watch its curve, stop it; the tables that are there already.

import * as api from "./api";
import type { CurvePoint, Job, Ranking } from "./api";
import { curve, rankTable } from "./chart";
import { h, icon, put } from "./dom";
import { state } from "./state";
import { attempt } from "./toast";

const ENDED = new Set(["done", "failed", "cancelled"]);

type Shown = { kind: "job"; id: string } | { kind: "ranking"; name: string } | { kind: "space"; name: string } | null;

export function runsPage(opened: (space: string) => void): HTMLElement {
  const list = h("div", { class: "run-list" });
  const detail = h("div", { class: "run-detail", "aria-live": "polite" });
  const form = startForm((job) => {
    jobs.unshift(job);
    watch(job);
    show({ kind: "job", id: job.id });
  });
  let jobs: Job[] = [];
  let tables: { name: string; recipes: string[]; runs: number }[] = [];
  let shown: Shown = null;
  const points = new Map<string, CurvePoint[]>();
  const lines = new Map<string, string[]>();
  const runs = new Map<string, { recipe: string; seed: number; value: number }[]>();
  const watched = new Map<string, EventSource>();

  const renderList = (): void => {
    const fitted = state.get("spaces").filter((s) => !s.error);
    const entry = (target: Shown, title: string, note: string, mark: string): HTMLElement =>
      h("li", {}, h("button", { type: "button", class: "run", "aria-current": JSON.stringify(target) === JSON.stringify(shown) ? "true" : null, "data-key": JSON.stringify(target), onclick: () => show(target) }, h("span", { class: `state ${mark}`, "aria-hidden": "true" }), h("span", { class: "text" }, title), h("span", { class: "quiet small" }, note)));
    const group = (title: string, entries: HTMLElement[]): HTMLElement | null => (entries.length ? h("section", {}, h("h3", {}, title), h("ul", {}, entries)) : null);
    put(
      list,
      group("Jobs", jobs.map((job) => entry({ kind: "job", id: job.id }, job.title, progressOf(job), job.state))),
      group("Rank tables", tables.map((t) => entry({ kind: "ranking", name: t.name }, t.name, `${t.recipes.length} recipes`, "done"))),
      group("Training curves", fitted.map((s) => entry({ kind: "space", name: s.name }, s.name, s.recipe || "as it is", "done"))),
    );
  };

  const progressOf = (job: Job): string => (job.state === "running" && job.total ? `${Math.round((100 * job.done) / job.total)} %` : job.state);

  const show = (target: Shown): void => {
    shown = target;
    renderList();
    void attempt(renderDetail());
  };

  const renderDetail = async (): Promise<void> => {
    const target = shown;
    if (!target) return put(detail, h("p", { class: "lead quiet" }, "Start a fit or a ranking, or choose one of the list."));
    if (target.kind === "space") {
      const found = await new api.SpaceApi(target.name).curves();
      if (shown === target) put(detail, h("h2", {}, target.name), found.length ? curve(found) : h("p", { class: "quiet" }, "This space keeps no training curve: its recipe does not train by steps."));
      return;
    }
    if (target.kind === "ranking") {
      const found: Ranking = await api.ranking(target.name);
      if (shown === target) put(detail, h("h2", {}, found.name), h("p", { class: "quiet" }, `Mean ${found.metric} with 95 % intervals; differences are tested in pairs and corrected after Holm.`), rankTable(found));
      return;
    }
    const job = jobs.find((j) => j.id === target.id);
    if (!job) return;
    const bar = h("progress", { max: job.total || 1, value: job.state === "done" ? job.total || 1 : job.done, "aria-label": "Progress" });
    const error = typeof job.error === "string" ? job.error : job.error?.detail;
    put(
      detail,
      h("div", { class: "section-head big" }, h("h2", {}, job.title), h("span", { class: `badge ${job.state === "failed" ? "warn" : job.state === "done" ? "good" : ""}` }, job.state)),
      ENDED.has(job.state) ? null : h("div", { class: "progress-row" }, bar, h("button", { type: "button", class: "small", "data-key": "cancel", onclick: () => void attempt(api.stopJob(job.id)) }, "Cancel")),
      h("p", { class: "quiet", role: "status" }, job.text || ""),
      error ? h("p", { class: "problem" }, icon("warning"), error) : null,
      job.state === "done" && job.space ? h("button", { type: "button", class: "primary", onclick: () => opened(job.space!) }, "Open the space") : null,
      job.state === "done" && job.ranking ? h("button", { type: "button", class: "primary", onclick: () => show({ kind: "ranking", name: job.ranking! }) }, "Open the rank table") : null,
      points.get(job.id)?.length ? curve(points.get(job.id)!) : null,
      runs.get(job.id)?.length ? h("table", { class: "rank" }, h("thead", {}, h("tr", {}, ["Recipe", "Seed", "Value"].map((t) => h("th", { scope: "col" }, t)))), h("tbody", {}, runs.get(job.id)!.map((r) => h("tr", {}, h("th", { scope: "row" }, r.recipe), h("td", { class: "number" }, r.seed), h("td", { class: "number" }, r.value.toFixed(4)))))) : null,
      lines.get(job.id)?.length ? h("pre", { class: "lines", tabindex: 0, "aria-label": "What it said" }, lines.get(job.id)!.slice(-200).join("\n")) : null,
    );
  };

  const watch = (job: Job): void => {
    if (watched.has(job.id)) return;
    const events = api.jobEvents(job.id);
    watched.set(job.id, events);
    const on = (type: string, take: (data: never) => void): void =>
      events.addEventListener(type, (event) => {
        take(JSON.parse((event as MessageEvent).data) as never);
        changed(job.id);
      });
    const change = (more: Partial<Job>): void => void (jobs = jobs.map((j) => (j.id === job.id ? { ...j, ...more } : j)));
    const keep = <T>(where: Map<string, T[]>, value: T): void => void where.set(job.id, [...(where.get(job.id) ?? []), value]);
    on("progress", (p: { done: number; total: number; text: string }) => change({ ...p, state: "running" }));
    on("line", ({ text }: { text: string }) => keep(lines, text));
    on("point", (point: CurvePoint) => keep(points, point));
    on("run", (run: { recipe: string; seed: number; value: number }) => keep(runs, run));
    for (const end of ["done", "failed", "cancelled"]) {
      on(end, (last: Job) => {
        events.close();
        change(last);
        void attempt(refresh());
      });
    }
  };

  let waiting = 0;
  const changed = (id: string): void => {
    if (waiting) return;
    waiting = requestAnimationFrame(() => {
      waiting = 0;
      renderList();
      if (shown?.kind === "job" && shown.id === id) void attempt(renderDetail());
    });
  };

  let turn = 0;
  const refresh = async (): Promise<void> => {
    const mine = ++turn;
    const before = new Set(jobs.map((job) => job.id));
    const [found, ranked, spaces] = await Promise.all([api.jobs(), api.rankings(), api.spaces()]);
    if (mine !== turn) return;
    // What was started, or has ended, after the question is not in its answer.
    const newer = jobs.filter((job) => !before.has(job.id) && !found.some((other) => other.id === job.id));
    const ended = new Map(jobs.filter((job) => ENDED.has(job.state)).map((job) => [job.id, job]));
    jobs = [...newer, ...found.filter((job) => job.kind === "fit" || job.kind === "rank").map((job) => ended.get(job.id) ?? job)];
    tables = ranked;
    state.set({ spaces });
    jobs.forEach(watch);
    renderList();
    await renderDetail();
  };

  state.watch(["page"], () => {
    if (state.get("page") === "runs") void attempt(refresh());
  });
  if (state.get("page") === "runs") void attempt(refresh());
  return h("main", { class: "runs", id: "runs" }, h("aside", {}, form, list), detail);
}

function startForm(started: (job: Job) => void): HTMLElement {
  const data = h("input", { id: "run-data", type: "text", list: "sets", placeholder: "digits, or a path", required: true });
  const sets = h("datalist", { id: "sets" });
  const recipe = h("input", { id: "run-recipe", type: "text", list: "recipes", placeholder: "the default of the data" });
  const known = h("datalist", { id: "recipes" });
  const epochs = h("input", { id: "run-epochs", type: "number", min: 0, placeholder: "the recipe's" });
  const kind = h("select", { id: "run-kind" }, h("option", { value: "fit" }, "Fit a space"), h("option", { value: "rank" }, "Rank recipes"));
  const field = (label: string, input: HTMLElement, note = ""): HTMLElement => h("div", { class: "form-field" }, h("label", { for: input.id }, label), input, note ? h("small", { class: "quiet" }, note) : null);
  const form = h("form", { class: "start" }, h("h2", {}, "Start a run"), field("What", kind), field("Data", data), sets, field("Recipe", recipe, "To rank several, part them by commas"), known, field("Epochs", epochs), h("button", { class: "primary" }, "Start"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const names = recipe.value.split(",").map((name) => name.trim()).filter(Boolean);
    const request: Record<string, unknown> = { kind: kind.value, data: data.value.trim() };
    if (kind.value === "rank" && names.length) request["recipes"] = names;
    if (kind.value === "fit" && names[0]) request["recipe"] = names[0];
    if (epochs.value) request["epochs"] = Number(epochs.value);
    void attempt(async () => started(await api.startJob(request)));
  });
  let filled = false;
  state.watch(["page", "server"], () => {
    const server = state.get("server");
    form.hidden = !!server?.read_only;
    if (state.get("page") !== "runs" || !server || filled) return;
    filled = true;
    put(sets, server.domain_sets.map((name) => h("option", { value: name })));
    void attempt(async () => put(known, (await api.recipes()).map((one) => h("option", { value: one.name }, one.title))));
  });
  return form;
}
