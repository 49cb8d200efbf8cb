// What is shown stands in the address, so that it can be sent to someone: /s/SPACE#where=…&colour=…&ids=…

import { applyFilter, chooseId, openSpace, select, setColour, setKind, addressOf } from "./explore";
import { state, type MapKind, type Page, type Pick } from "./state";
import { openNamed } from "./panel/selection";
import { attempt } from "./toast";
import type { MapView } from "./map/mapview";

let quiet = false; // while an address is being followed, it is not written

export const spaceInAddress = (): string | null => {
  const found = /^\/s\/([^/]+)/.exec(location.pathname);
  return found ? decodeURIComponent(found[1]!) : null;
};

const fields = (): URLSearchParams => {
  const all = new URLSearchParams(location.hash.slice(1));
  for (const [key, value] of new URLSearchParams(location.search)) if (!all.has(key)) all.set(key, value);
  return all;
};

/** Open what the address says of a space. */
export async function follow(name: string, map: MapView): Promise<void> {
  const asked = fields();
  quiet = true;
  try {
    state.set({ page: (asked.get("page") as Page | null) ?? "explore" });
    const kind: MapKind = asked.get("map") === "umap" ? "umap" : "pca";
    await openSpace(name, "pca", asked.get("colour") ?? undefined);
    if (asked.get("colour") === "") await setColour(null);
    const picks = new Map<string, Pick>(asked.has("picks") ? (JSON.parse(asked.get("picks")!) as [string, Pick][]) : []);
    if (asked.get("where") || picks.size) await applyFilter({ text: asked.get("where") ?? "", picks });
    if (kind === "umap" && state.get("info")?.can.umap) await setKind("umap");
    const [ids, lasso, within, named] = [asked.get("ids"), asked.get("lasso"), asked.get("within"), asked.get("selection")];
    if (ids) {
      const wanted = new Set(JSON.parse(ids) as string[]);
      const rows: number[] = [];
      state.get("ids")!.forEach((id, row) => wanted.has(id) && rows.push(row));
      select(Uint32Array.from(rows), { kind: "ids" });
    } else if (lasso) {
      const [of, places] = lasso.split(";") as [MapKind, string];
      const polygon = places.split(",").map(Number);
      if (of === state.get("kind")) select(map.grid.inside(polygon, map.matches), { kind: "lasso", polygon, map: of });
    } else if (within) {
      const { mask } = await state.get("api")!.mask(within, state.get("info")!.items);
      const rows: number[] = [];
      mask.forEach((yes, row) => yes && rows.push(row));
      select(Uint32Array.from(rows), { kind: "where", where: within });
    } else if (named) await openNamed(named);
    if (asked.get("item")) await chooseId(asked.get("item")!);
  } finally {
    quiet = false;
  }
  write();
}

function write(): void {
  const api = state.get("api");
  if (quiet || !api) return;
  const hash = new URLSearchParams();
  const put = (key: string, value: string | null | undefined): void => void (value && hash.set(key, value));
  put("page", state.get("page") === "explore" ? null : state.get("page"));
  put("map", state.get("kind") === "umap" ? "umap" : null);
  put("colour", state.get("colour"));
  put("where", state.get("text").trim());
  put("picks", state.get("picks").size ? JSON.stringify([...state.get("picks")]) : null);
  put("item", state.get("subject")?.id);
  const selection = state.get("selection");
  if (selection) for (const [key, value] of Object.entries(addressOf(selection))) put(key, value);
  const kept = new URLSearchParams(location.search);
  const search = kept.has("renderer") ? `?renderer=${kept.get("renderer")}` : "";
  history.replaceState(null, "", `/s/${encodeURIComponent(api.name)}${search}${hash.size ? `#${hash.toString()}` : ""}`);
}

export function keepAddress(map: MapView): void {
  state.watch(["page", "kind", "colour", "text", "picks", "subject", "selection", "api"], () => queueMicrotask(write));
  window.addEventListener("hashchange", () => {
    const name = spaceInAddress();
    if (name) void attempt(follow(name, map));
  });
}
