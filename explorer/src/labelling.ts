// Labels by keyboard: 1 to 9 give one of the first classes (classes that are digits have their own keys), U takes the last
// step back, N goes on to the next item.

import { h, icon, put } from "./dom";
import { chooseId, label, selectedIds, undoLabel } from "./explore";
import { state, writable } from "./state";
import { attempt } from "./toast";

/** What a label would be given to: the selection where its tab is open, else the item in the panel. */
export function targets(): string[] {
  if (state.get("tab") === "selection") return selectedIds();
  const id = state.get("subject")?.id;
  return id ? [id] : [];
}

/** The key of each class: a class that is a digit has its own, the others take the free ones from 1 on; null when none is left. */
export function keysOf(classes: readonly string[]): (string | null)[] {
  const free = [..."123456789"].filter((key) => !classes.includes(key));
  return classes.map((name) => (/^\d$/.test(name) ? name : (free.shift() ?? null)));
}

export const assign = (name: string | null): Promise<void> => attempt(label(targets(), name));

/** The item after (or before) the present one in what is walked through: the neighbours, a selection, a view. */
export function step(by: 1 | -1): void {
  const queue = state.get("queue");
  if (!queue.length) return;
  const now = queue.indexOf(state.get("subject")?.id ?? "");
  const next = queue[now < 0 ? (by > 0 ? 0 : queue.length - 1) : (now + by + queue.length) % queue.length];
  if (next !== undefined) void attempt(chooseId(next));
}

/** The row of classes with their keys, a field for a new one, and undo. `current`: the label that the targets have. */
export function labeller(current: () => string | null): HTMLElement {
  const host = h("section", { class: "labeller", "aria-label": "Label" });
  // Made once: what somebody is typing stays when something else arrives.
  const input = h("input", { type: "text", placeholder: "New label", "aria-label": "A new label", "data-key": "new-label", list: "classes", maxlength: 200 });
  const give = (): void => {
    const name = input.value.trim();
    input.value = "";
    if (name) void assign(name);
  };
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") give();
  });
  const render = (): void => {
    const info = state.get("info");
    if (!info || !writable()) {
      host.hidden = true;
      return;
    }
    host.hidden = false;
    const now = current();
    const classes = info.classes.slice(0, 40);
    const keys = keysOf(classes);
    const last = state.get("undo").at(-1);
    put(
      host,
      h("div", { class: "section-head" }, h("h3", {}, "Label"), last ? h("button", { type: "button", class: "link small", "data-key": "undo", title: last.said, onclick: () => void attempt(undoLabel()) }, icon("undo", 14), "Undo ", h("kbd", {}, "U")) : null),
      h(
        "div",
        { class: "classes" },
        classes.map((name, i) =>
          h("button", { type: "button", class: "class", "data-key": `class-${name}`, "aria-pressed": String(name === now), "aria-keyshortcuts": keys[i], onclick: () => void assign(name) }, keys[i] !== null && keys[i] !== name ? h("kbd", { "aria-hidden": "true" }, keys[i]) : null, h("span", {}, name)),
        ),
        now !== null ? h("button", { type: "button", class: "class take", "data-key": "class-none", onclick: () => void assign(null) }, "No label") : null,
      ),
      h("div", { class: "new-label" }, input, h("button", { type: "button", class: "small", "data-key": "give", onclick: give }, "Give")),
    );
  };
  state.watch(["info", "subject", "selection", "undo", "column", "server"], render);
  render();
  return host;
}
