// The chosen item: its picture and attributes, what its neighbours vote, and the neighbours with their distances.

import type { Hit } from "../api";
import { dotOf, labelOf, picture, shortId } from "../cards";
import { figure, h, icon, iconButton, put } from "../dom";
import { chooseId, clearSubject, searchFile, select, where } from "../explore";
import { labeller } from "../labelling";
import { colouring, shown } from "../palette";
import { columnInfo, state } from "../state";
import { onTheme } from "../theme";
import { attempt, told } from "../toast";
import { why } from "./why";

export function itemPanel(): HTMLElement {
  const about = h("div");
  const label = labeller(() => labelOf(state.get("subject")?.item?.attributes));
  const votes = h("div");
  const near = h("div");
  const panel = h("div", { class: "item" }, about, label, votes, near);
  // Each part by itself: the votes come late, and must not replace a neighbour that somebody is about to press.
  const renderAbout = (): void => {
    const subject = state.get("subject");
    label.classList.toggle("gone", !subject?.id);
    put(about, subject ? card() : state.get("info") ? invitation() : null);
  };
  const renderVotes = (): void => put(votes, state.get("subject") ? tally() : null);
  const renderNear = (): void => put(near, state.get("subject") ? neighbours() : null);
  state.watch(["subject", "info"], renderAbout);
  state.watch(["subject", "votes"], renderVotes);
  state.watch(["subject", "neighbours", "info", "column"], renderNear);
  onTheme(renderNear);
  renderAbout();
  return panel;
}

/** What stands here before anything was chosen. */
function invitation(): HTMLElement {
  const info = state.get("info")!;
  const find = h("input", { type: "text", placeholder: "Find an item by its id", "aria-label": "Find an item by its id", "data-key": "find" });
  find.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !find.value.trim()) return;
    const ids = state.get("ids") ?? [];
    const wanted = find.value.trim();
    const row = ids.includes(wanted) ? ids.indexOf(wanted) : ids.findIndex((id) => id.toLowerCase().includes(wanted.toLowerCase()));
    if (row < 0) told(`No id holds ${wanted}.`, { bad: true });
    else void attempt(chooseId(ids[row]!, row));
  });
  if (!info.items) {
    return h("div", { class: "invitation" }, h("p", { class: "lead" }, "This space is empty."), h("p", { class: "quiet" }, "Add items with ", h("code", {}, "semblance fit"), " or ", h("code", {}, "space.add(…)"), "; this page then shows them."));
  }
  return h(
    "div",
    { class: "invitation" },
    h("p", { class: "lead" }, "Choose a point to see the item and what is near it."),
    find,
    info.can.upload ? h("button", { type: "button", class: "drop", "data-key": "upload", onclick: chooseFile }, icon("upload", 20), h("span", {}, h("b", {}, "Search with a file of your own"), h("small", {}, "Choose it, or drop it anywhere on the page"))) : null,
  );
}

export function chooseFile(): void {
  document.getElementById("file")!.click();
}

/** The field behind the button, and the page as a place to drop files on. */
export function fileField(): HTMLInputElement {
  const input = h("input", { type: "file", id: "file", class: "unseen", tabindex: -1, "aria-label": "A file to search with" });
  const take = (file: File | undefined): void => {
    if (file) void attempt(searchFile(file));
  };
  input.addEventListener("change", () => {
    take(input.files?.[0]);
    input.value = "";
  });
  const able = (event: DragEvent): boolean => !!state.get("info")?.can.upload && !!event.dataTransfer?.types.includes("Files");
  window.addEventListener("dragover", (event) => {
    if (!able(event)) return;
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  window.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dropping");
  });
  window.addEventListener("drop", (event) => {
    document.body.classList.remove("dropping");
    if (!able(event)) return;
    event.preventDefault();
    take(event.dataTransfer!.files[0]);
  });
  return input;
}

function card(): HTMLElement {
  const subject = state.get("subject")!;
  const attributes = Object.entries(subject.item?.attributes ?? {});
  return h(
    "div",
    { class: "card" },
    h("div", { class: "portrait" }, picture(subject.name, 192, subject.picture)),
    h(
      "div",
      { class: "facts" },
      h("div", { class: "title" }, h("h2", { title: subject.name }, shortId(subject.name)), iconButton("close", "Close the item", clearSubject)),
      subject.id === null ? h("p", { class: "quiet small" }, "A file of yours. It is not kept.") : null,
      h(
        "dl",
        {},
        subject.item?.space ? h("div", {}, h("dt", {}, "shard"), h("dd", { title: subject.item.space }, subject.item.space)) : null,
        attributes.map(([name, value]) => {
          const text = shown(value, columnInfo(name)?.kind);
          return h("div", {}, h("dt", {}, name), h("dd", { title: text }, text));
        }),
      ),
    ),
  );
}

function tally(): HTMLElement | null {
  const votes = state.get("votes");
  if (!votes) return null;
  const own = labelOf(state.get("subject")?.item?.attributes);
  const all = Object.entries(votes.shares).sort((a, b) => b[1] - a[1]);
  const rows = all.slice(0, 4).map(([name, share]) => {
    const bar = h("i");
    bar.style.width = `${100 * share}%`;
    return h("li", { class: name === own ? "own" : "" }, h("span", { class: "text" }, name), h("span", { class: "bar" }, bar), h("span", { class: "number" }, `${Math.round(100 * share)} %`));
  });
  const agrees = own === null || votes.label === own;
  return h(
    "section",
    { class: "votes", "aria-label": "Votes" },
    h("div", { class: "section-head" }, h("h3", {}, "Its neighbours vote"), agrees ? null : h("span", { class: "badge warn" }, icon("warning", 13), `labelled ${own}`)),
    h("ul", {}, rows),
  );
}

function neighbours(): HTMLElement {
  const [found, subject] = [state.get("neighbours"), state.get("subject")!];
  if (!found) return h("div", { class: "hits loading", "aria-hidden": "true" }, Array.from({ length: 6 }, () => h("div", { class: "hit ghost" })));
  const colours = colouring(state.get("column"));
  const far = Math.max(1e-12, ...found.hits.map((hit) => hit.distance));
  const open = (hit: Hit): void => {
    if (!state.get("queue").includes(hit.id)) state.set({ queue: found.hits.map((other) => other.id) });
    void attempt(chooseId(hit.id, hit.position));
  };
  const rows = found.hits.map((hit) => {
    const bar = h("i");
    bar.style.width = `${Math.max(2, (100 * hit.distance) / far)}%`;
    const named = labelOf(hit.attributes);
    return h(
      "li",
      {},
      h(
        "button",
        { type: "button", class: "hit", "data-key": `hit-${hit.id}`, "data-id": hit.id, title: hit.id, "aria-label": `${hit.id}${named ? `, labelled ${named}` : ""}, distance ${figure(hit.distance)}`, onclick: () => open(hit) },
        h("span", { class: "frame" }, picture(hit.id, 64, hit.thumbnail)),
        h("span", { class: "under" }, dotOf(hit.position, colours.of), h("span", { class: "text" }, named ?? shortId(hit.id))),
        h("span", { class: "distance" }, figure(hit.distance)),
        h("span", { class: "bar" }, bar),
      ),
      state.get("info")?.can.explain && subject.id ? h("button", { type: "button", class: "link small why-link", "data-key": `why-${hit.id}`, "aria-label": `Explain why ${hit.id} is near`, onclick: () => void attempt(why(subject.id!, hit.id)) }, "Why?") : null,
    );
  });
  const within = where();
  const note = `${found.plan.charAt(0).toUpperCase()}${found.plan.slice(1)}${within ? " within the filter" : ""} · ${(1000 * found.seconds).toFixed(found.seconds < 0.01 ? 1 : 0)} ms${found.recall < 1 ? ` · recall ${found.recall.toFixed(2)}` : ""}`;
  return h(
    "section",
    { class: "near", "aria-label": "Neighbours" },
    h(
      "div",
      { class: "section-head" },
      h("h3", {}, "Nearest"),
      found.hits.length ? h("button", { type: "button", class: "link small", "data-key": "select-near", onclick: () => select(Uint32Array.from([...(subject.row >= 0 ? [subject.row] : []), ...found.hits.map((hit) => hit.position)]).sort(), { kind: "ids" }) }, "Select these") : null,
    ),
    rows.length ? h("ul", { class: "hits" }, rows) : h("p", { class: "quiet" }, within ? "Nothing else matches the filter." : "It is the only item."),
    h("p", { class: "quiet small" }, note),
  );
}
