// Elements without a framework: h("button", { class: "quiet", onclick }, "Undo").

type Child = Node | string | number | null | undefined | false;
type Props = Record<string, unknown>;

/** An element. Keys that start with "on" are listeners, true is an empty attribute, false/null/undefined none. */
export function h<K extends keyof HTMLElementTagNameMap>(tag: K, props: Props = {}, ...children: (Child | Child[])[]): HTMLElementTagNameMap[K] {
  return fill(document.createElement(tag), props, children);
}

/** The same for SVG. */
export function svg(tag: string, props: Props = {}, ...children: (Child | Child[])[]): SVGElement {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), props, children);
}

function fill<E extends Element>(element: E, props: Props, children: (Child | Child[])[]): E {
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on") && typeof value === "function") element.addEventListener(name.slice(2), value as EventListener);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  for (const child of children.flat()) {
    if (child !== null && child !== undefined && child !== false) element.append(child instanceof Node ? child : String(child));
  }
  return element;
}

// Where the pointer went down. A browser makes a click only of a press that ends on the element on which it began: until
// the pointer is up, the children of what holds that element stay, and what came meanwhile is put there then.
let pressed: Element | null = null;
const late = new Map<Element, (Child | Child[])[]>();
window.addEventListener("pointerdown", ({ target }) => void (pressed = target instanceof Element && !target.closest("select") ? target : null), true);
for (const end of ["pointerup", "pointercancel"]) window.addEventListener(end, () => setTimeout(release), true);
window.addEventListener("click", () => void (pressed = null), true); // what a click does is seen at once

function release(): void {
  pressed = null;
  for (const [parent, children] of late) put(parent, ...children);
}

/** Put children in place of those there; an element that had the focus and comes again under the same data-key keeps it. */
export function put(parent: Element, ...children: (Child | Child[])[]): void {
  if (pressed && parent !== pressed && parent.contains(pressed)) return void late.set(parent, children);
  late.delete(parent);
  const key = parent.contains(document.activeElement) ? (document.activeElement as HTMLElement).dataset["key"] : undefined;
  const scrolled = parent.scrollTop;
  parent.replaceChildren();
  fill(parent, {}, children);
  parent.scrollTop = scrolled;
  if (key) parent.querySelector<HTMLElement>(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
}

/** Icons of one stroke, 20 by 20. */
const PATHS: Record<string, string> = {
  plus: "M10 4v12M4 10h12",
  minus: "M4 10h12",
  fit: "M4 8V4h4M16 8V4h-4M4 12v4h4M16 12v4h-4",
  lasso: "M10 3.5c4 0 7 2.2 7 5s-3 5-7 5-7-2.2-7-5 3-5 7-5M6.5 13c-2 .6-2.300 2.800-.6 3.500 1.200.5 2.400-.2 2.300-1.500",
  frame: "M4 7V4h3M13 4h3v3M16 13v3h-3M7 16H4v-3M8 8h4v4H8z",
  close: "M5 5l10 10M15 5L5 15",
  undo: "M7 5L3.500 8.500 7 12M4 8.500h7a4.500 4.500 0 0 1 0 9H9",
  upload: "M10 13V4M6.500 7.500L10 4l3.500 3.500M4 13v3h12v-3",
  download: "M10 4v9M6.500 9.500L10 13l3.500-3.500M4 16h12",
  link: "M8.500 11.500a3 3 0 0 0 4.200 0l2.800-2.800a3 3 0 0 0-4.200-4.200l-1 1M11.500 8.500a3 3 0 0 0-4.200 0l-2.800 2.800a3 3 0 0 0 4.200 4.200l1-1",
  sun: "M10 6.500a3.500 3.500 0 1 0 0 7 3.500 3.500 0 0 0 0-7M10 2v1.500M10 16.500V18M2 10h1.500M16.500 10H18M4.300 4.300l1.100 1.100M14.600 14.600l1.100 1.100M4.300 15.700l1.100-1.100M14.600 5.400l1.100-1.100",
  moon: "M16 11.800A6.500 6.500 0 0 1 8.200 4a6.500 6.500 0 1 0 7.800 7.800z",
  keys: "M3 6h14v8.500H3zM6 9h.01M8.700 9h.01M11.400 9h.01M14 9h.01M7 11.800h6",
  search: "M9 4a5 5 0 1 0 0 10A5 5 0 0 0 9 4M12.700 12.700L16.500 16.500",
  check: "M4.500 10.500l3.500 3.500 7.500-8",
  warning: "M10 3.500L17.500 16.500h-15zM10 8.500v3.500M10 14.300h.01",
  tag: "M4 4h6l6.500 6.500-6 6L4 10zM7.300 7.300h.01",
  chevron: "M7 5l5 5-5 5",
  drop: "M5.500 8l4.500 4.500L14.500 8",
};

export function icon(name: keyof typeof PATHS & string, size = 18): SVGElement {
  return svg(
    "svg",
    { viewBox: "0 0 20 20", width: size, height: size, fill: "none", stroke: "currentColor", "stroke-width": 1.5, "stroke-linecap": "round", "stroke-linejoin": "round", "aria-hidden": "true" },
    svg("path", { d: PATHS[name] }),
  );
}

/** A button that is only a picture: its label is read aloud and shown as a tip. */
export function iconButton(name: string, label: string, onclick: () => void, props: Props = {}): HTMLButtonElement {
  return h("button", { type: "button", class: "icon", "aria-label": label, title: label, onclick, ...props }, icon(name));
}

const region = (): HTMLElement => document.getElementById("spoken")!;

/** Say a sentence to screen readers, politely. */
export function say(text: string): void {
  region().textContent = text;
}

/** 12,345 */
export const count = (n: number): string => n.toLocaleString("en");

/** "1 item", "2 items" */
export const items = (n: number): string => `${count(n)} ${n === 1 ? "item" : "items"}`;

/** A number in at most four figures that matter. */
export function figure(x: number): string {
  if (!Number.isFinite(x)) return "–";
  if (Number.isInteger(x) && Math.abs(x) < 1e7) return x.toLocaleString("en", { useGrouping: Math.abs(x) >= 1e4 });
  const size = Math.abs(x);
  return size >= 1e6 || size < 1e-3 ? x.toExponential(2) : String(Number(x.toPrecision(size < 1 ? 3 : 4)));
}

/** Call once things have been calm for a while. */
export function calm<A extends unknown[]>(ms: number, call: (...a: A) => void): (...a: A) => void {
  let timer = 0;
  return (...a) => {
    clearTimeout(timer);
    timer = window.setTimeout(() => call(...a), ms);
  };
}
