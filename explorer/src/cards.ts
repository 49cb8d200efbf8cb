// Small pictures of items, with what is known of them: for lists of neighbours and pairs.

import type { Attribute } from "./api";
import { h } from "./dom";
import { css } from "./palette";
import { state } from "./state";

/** The picture of an item, or its first letters where it has none. */
export function picture(id: string, size: number, address?: string | null): HTMLElement {
  const info = state.get("info");
  const source = address ?? (info?.can.thumbnails ? state.get("api")!.thumbnail(id, size > 64 ? 192 : 64) : null);
  if (!source) return h("span", { class: "letters", "aria-hidden": "true" }, letters(id));
  const image = h("img", { src: source, alt: "", loading: "lazy", decoding: "async", draggable: "false" });
  image.addEventListener("error", () => image.replaceWith(h("span", { class: "letters", "aria-hidden": "true" }, letters(id))), { once: true });
  image.addEventListener("load", () => image.classList.toggle("pixels", image.naturalWidth < 48), { once: true });
  return image;
}

const letters = (id: string): string => (id.split("/").pop() ?? id).replace(/\.\w+$/, "").slice(0, 4);

/** The colour that an item has on the map, as a dot; empty without a colour. */
export function dotOf(row: number, of: ((row: number) => [number, number, number]) | null): HTMLElement | null {
  if (!of || row < 0 || !state.get("column")) return null;
  const dot = h("span", { class: "swatch" });
  dot.style.background = css(of(row));
  return dot;
}

export const labelOf = (attributes: Record<string, Attribute> | undefined): string | null => {
  const value = attributes?.["label"];
  return value === null || value === undefined ? null : String(value);
};

/** A file name without its folders, the whole of it in the tip. */
export const shortId = (id: string): string => (id.length > 28 ? `…${id.slice(-27)}` : id);
