// Light and dark: the system's choice until the reader makes one, which is remembered.

import { iconButton } from "./dom";

type Theme = "light" | "dark";
const KEY = "semblance.theme";
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set<() => void>();

function remembered(): Theme | null {
  try {
    const kept = localStorage.getItem(KEY);
    return kept === "light" || kept === "dark" ? kept : null;
  } catch {
    return null; // storage may be forbidden; then every visit starts with the system's choice
  }
}

export const theme = (): Theme => (document.documentElement.dataset["theme"] as Theme | undefined) ?? (dark.matches ? "dark" : "light");
export const isDark = (): boolean => theme() === "dark";
export const onTheme = (listener: () => void): unknown => listeners.add(listener);

function choose(next: Theme): void {
  document.documentElement.dataset["theme"] = next;
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // The choice then holds until the page is left.
  }
  listeners.forEach((listener) => listener());
}

export function startTheme(): void {
  const kept = remembered();
  if (kept) document.documentElement.dataset["theme"] = kept;
  dark.addEventListener("change", () => listeners.forEach((listener) => listener()));
}

/** The switch in the head of the page. */
export function themeButton(): HTMLButtonElement {
  const make = (): HTMLButtonElement => {
    const next = isDark() ? "light" : "dark";
    return iconButton(isDark() ? "sun" : "moon", `Switch to ${next} colours`, () => choose(next), { id: "theme" });
  };
  let button = make();
  onTheme(() => {
    const focused = document.activeElement === button;
    const fresh = make();
    button.replaceWith(fresh);
    button = fresh;
    if (focused) fresh.focus();
  });
  return button;
}
