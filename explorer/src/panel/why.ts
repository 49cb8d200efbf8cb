// Why two items are near: for pictures the parts of either that make them so as heat maps, else the strongest parts as bars;
// beneath, whether the parts account for the whole.

import type { Explained } from "../api";
import { figure, h, put } from "../dom";
import { state } from "../state";

/** A dialog that fills when the server has looked; a refusal is said in it. */
export async function why(a: string, b: string): Promise<void> {
  const api = state.get("api")!;
  const body = h("div", { class: "why-body" }, h("p", { class: "quiet", role: "status" }, "Asking the model …"));
  const dialog = h("dialog", { class: "why", "aria-label": `Why ${b} is near ${a}` }, h("h2", {}, "Why these two are near"), body, h("form", { method: "dialog" }, h("button", { class: "primary" }, "Close")));
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.showModal();
  try {
    const found = await api.explain(a, b);
    if (dialog.isConnected) put(body, told(found));
  } catch (error) {
    dialog.close();
    throw error;
  }
}

function told(found: Explained): HTMLElement[] {
  const heats = found.sides.filter((side) => side.heat !== null);
  const shown = heats.length
    ? h("div", { class: "heats" }, heats.map((side) => h("figure", {}, h("img", { src: side.heat!, alt: `${side.item}: ${strongest(side)}` }), h("figcaption", { class: "small" }, side.item))))
    : h("div", { class: "shares" }, found.sides.map(bars));
  const legend = heats.length ? h("p", { class: "heat-scale small quiet" }, h("i", { class: "more" }), "makes them more alike ", h("i", { class: "less" }), "less alike") : null;
  return [
    h("p", {}, `${found.measure} ${figure(found.similarity)}${said(found.faithful)}`),
    shown,
    ...(legend ? [legend] : []),
    h("p", { class: "completeness small" }, complete(found)),
    ...found.notes.map((note) => h("p", { class: "quiet small" }, note)),
  ];
}

const said = (faithful: boolean | null): string => (faithful === null ? "" : faithful ? "; it falls faster than by chance as the strongest parts go" : "; it falls no faster than by chance as the strongest parts go");

/** The sums, beside what they should be. */
function complete(found: Explained): string {
  if (!found.completeness.length) return `Method ${found.method}: what each part changes alone; such effects need not sum to the whole.`;
  const gap = Math.max(...found.completeness.map((one) => Math.abs(one.gap)));
  const sums = found.completeness.map((one) => `${figure(Number(one.sum.toFixed(4)))} of ${figure(Number(one.expected.toFixed(4)))}`);
  const same = [...new Set(sums)];
  return `Method ${found.method}: the shares sum to ${same.join(" and ")}${gap > 0.02 ? `, so they miss ${figure(gap)} of it` : ", so nothing is left out"}.`;
}

type Side = Explained["sides"][number];
const strongest = (side: Side): string => side.parts.slice(0, 3).map((part) => `${part.name} ${figure(part.share)}`).join(", ");

function bars(side: Side): HTMLElement {
  const most = Math.max(1e-12, ...side.parts.map((part) => Math.abs(part.share)));
  const rows = side.parts.map((part) => {
    const bar = h("i", { class: part.share < 0 ? "less" : "more" });
    bar.style.width = `${(100 * Math.abs(part.share)) / most}%`;
    return h("li", {}, h("span", { class: "text" }, part.name), h("span", { class: "bar" }, bar), h("span", { class: "number" }, figure(part.share)));
  });
  return h("section", {}, h("h3", {}, side.item ? `${side.kind} of ${side.item}` : side.kind), h("ul", {}, rows));
}
