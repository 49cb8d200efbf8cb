// Keys that hold on the whole page while no field is being typed in, and the sheet that lists them.

import { clearSubject, select, undoLabel } from "./explore";
import { h } from "./dom";
import { assign, keysOf, step, targets } from "./labelling";
import { state, writable } from "./state";
import { attempt } from "./toast";
import type { MapView } from "./map/mapview";

const SHEET: [string, [string, string][]][] = [
  ["The map", [["← ↑ → ↓", "move (Shift: farther)"], ["+ −", "zoom"], ["F", "show everything"], ["Enter", "choose what is nearest to the middle"], ["L", "lasso (or hold Shift and drag)"], ["A", "select all in view"]]],
  ["Items", [["N P", "next, previous of what is listed"], ["1 … 9", "give the class with that key"], ["U", "take the last label back"], ["Esc", "close the item, clear the selection"]]],
  ["The page", [["/", "filter"], ["M", "to the map"], ["C", "colour by the next column"], ["?", "this sheet"]]],
];

export function helpDialog(): HTMLDialogElement {
  const dialog = h(
    "dialog",
    { class: "help", "aria-label": "Keys" },
    h("h2", {}, "Keys"),
    SHEET.map(([title, keys]) => h("section", {}, h("h3", {}, title), h("dl", {}, keys.map(([key, does]) => h("div", {}, h("dt", {}, key.split(" ").filter((k) => k !== "…").map((k) => h("kbd", {}, k))), h("dd", {}, does)))))),
    h("form", { method: "dialog" }, h("button", { class: "primary" }, "Close")),
  );
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  return dialog;
}

export function listenForKeys(map: MapView, help: HTMLDialogElement, nextColour: () => void): void {
  window.addEventListener("keydown", (event) => {
    const target = event.target as HTMLElement;
    const typing = target.closest("input:not([type=checkbox], [type=range], [type=radio]), textarea, select, dialog[open]");
    const command = event.ctrlKey || event.metaKey;
    if (command && event.key.toLowerCase() === "z" && !typing && !event.shiftKey) {
      event.preventDefault();
      return void attempt(undoLabel());
    }
    if (typing || command || event.altKey) {
      if (event.key === "Escape" && typing && !target.closest("dialog")) target.blur();
      return;
    }
    if (event.key === "?") return help.showModal();
    if (state.get("page") !== "explore") return;
    if (/^\d$/.test(event.key)) {
      const classes = state.get("info")?.classes ?? [];
      const name = classes[keysOf(classes).indexOf(event.key)];
      if (name !== undefined && writable() && targets().length) {
        event.preventDefault();
        void assign(name);
      }
      return;
    }
    const keys: Record<string, () => void> = {
      "/": () => document.getElementById("filter")!.focus(),
      m: () => map.element.focus(),
      l: () => map.setLasso(!map.lassoOn),
      a: () => select(map.inView(), { kind: "ids" }),
      c: nextColour,
      n: () => step(1),
      p: () => step(-1),
      u: () => void attempt(undoLabel()),
      f: () => map.fit(true),
      escape: () => {
        if (map.lassoOn) map.setLasso(false);
        else if (state.get("selection")) select(null, { kind: "ids" });
        else clearSubject();
      },
    };
    const act = keys[event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act();
  });
}
