// A sentence at the foot of the page: what was just done, with its undo, or what went wrong, with the remedy.

import { Refused } from "./api";
import { h, icon, say } from "./dom";

let timer = 0;

export function told(text: string, options: { action?: string; onaction?: () => void; bad?: boolean } = {}): void {
  const host = document.getElementById("toast")!;
  clearTimeout(timer);
  const close = (): void => host.replaceChildren();
  const action = options.action
    ? h("button", { type: "button", class: "link", onclick: () => { close(); options.onaction?.(); } }, options.action)
    : null;
  const dismiss = h("button", { type: "button", class: "icon", "aria-label": "Dismiss", onclick: close }, icon("close", 16));
  host.replaceChildren(h("div", { class: options.bad ? "toast bad" : "toast" }, options.bad ? icon("warning") : null, h("span", {}, text), action, dismiss));
  say(text);
  timer = window.setTimeout(close, options.bad ? 12_000 : 6_000);
}

/** Run what may be refused; the reader is told why. Anything else is a fault of the page and is told as one. */
export async function attempt(work: Promise<unknown> | (() => Promise<unknown>)): Promise<void> {
  try {
    await (typeof work === "function" ? work() : work);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") return;
    if (error instanceof Refused) return told(error.message, { bad: true });
    told(`The page failed: ${String(error)}`, { bad: true });
    console.error(error);
  }
}
