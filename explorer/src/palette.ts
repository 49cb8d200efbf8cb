// Colours of points. Categories: twelve hues after Okabe and Ito (2008) and Tol (2021), apart for readers with any of the
// common colour-vision deficiencies, lightened for dark backgrounds; the rarest categories beyond them share one grey.
// Numbers: the inner part of viridis, so that neither end drowns in the background.

import type { Column } from "./api";
import { figure } from "./dom";
import { isDark } from "./theme";

export type Rgb = [number, number, number];

const LIGHT = ["#0072b2", "#e08e00", "#009e73", "#c8589a", "#56b4e9", "#cf4b0a", "#4b3b9e", "#8f8f00", "#8c2d5a", "#2fb5a5", "#a8763e", "#6f8fcf"];
const DARK = ["#4aa3e0", "#f2b04c", "#2fc79b", "#e58fc4", "#9ad6f7", "#f27e45", "#9d8df0", "#c9c94a", "#d9749f", "#6fded0", "#d3a877", "#a3bcf0"];
const OTHER = { light: "#a3a19c", dark: "#77777c" };
const PLAIN = { light: "#3c6e9f", dark: "#7fb2e0" };
const VIRIDIS: Rgb[] = [[68, 1, 84], [71, 45, 123], [59, 82, 139], [44, 114, 142], [33, 145, 140], [40, 174, 128], [94, 201, 98], [173, 220, 48], [253, 231, 37]];
export const HUES = LIGHT.length;

export function rgb(hex: string): Rgb {
  const n = parseInt(hex.slice(1), 16);
  return [n >> 16, (n >> 8) & 255, n & 255];
}
export const css = ([r, g, b]: Rgb): string => `rgb(${r} ${g} ${b})`;
export const plain = (): Rgb => rgb(isDark() ? PLAIN.dark : PLAIN.light);
export const other = (): Rgb => rgb(isDark() ? OTHER.dark : OTHER.light);
export const background = (): Rgb => rgb(isDark() ? "#17181b" : "#fbfbf9");

/** t in [0, 1] on the scale of numbers. */
export function ramp(t: number): Rgb {
  const [low, high] = isDark() ? [0.22, 1] : [0, 0.86];
  const at = (low + Math.min(1, Math.max(0, t)) * (high - low)) * (VIRIDIS.length - 1);
  const i = Math.min(VIRIDIS.length - 2, Math.floor(at));
  return VIRIDIS[i]!.map((c, k) => Math.round(c + (at - i) * (VIRIDIS[i + 1]![k]! - c))) as Rgb;
}

/** How a column colours points: a colour for each code, or for each number. */
export interface Colouring {
  column: Column | null;
  of(row: number): Rgb;
  /** of a category by its code (-1: missing) */
  ofCode(code: number): Rgb;
  /** ends of the scale of numbers */
  low: number;
  high: number;
}

export function colouring(column: Column | null): Colouring {
  if (column?.numbers) {
    const { low, high } = limits(column.numbers);
    const numbers = column.numbers;
    const steps = Array.from({ length: 256 }, (_, i) => ramp(i / 255));
    const none = other();
    const span = high - low || 1;
    const of = (row: number): Rgb => {
      const value = numbers[row]!;
      return Number.isNaN(value) ? none : steps[Math.min(255, Math.max(0, Math.round((255 * (value - low)) / span)))]!;
    };
    return { column, of, ofCode: () => none, low, high };
  }
  if (column?.codes && column.vocabulary) {
    const codes = column.codes;
    const colours = hues(column);
    const none = other();
    const ofCode = (code: number): Rgb => colours[code] ?? none;
    return { column, of: (row) => colours[codes[row]!] ?? none, ofCode, low: 0, high: 0 };
  }
  const one = plain();
  return { column: null, of: () => one, ofCode: () => one, low: 0, high: 0 };
}

/** Colours by code. Up to twelve categories keep the order of the vocabulary; of more, the twelve most frequent. */
function hues(column: Column): Rgb[] {
  const table = (isDark() ? DARK : LIGHT).map(rgb);
  const vocabulary = column.vocabulary!;
  const counts = column.counts ?? countCodes(column);
  const order = vocabulary.map((_, code) => code);
  if (vocabulary.length > HUES) order.sort((a, b) => counts[b]! - counts[a]! || a - b);
  const colours: Rgb[] = vocabulary.map(() => other());
  order.slice(0, HUES).forEach((code, i) => (colours[code] = table[i]!));
  return colours;
}

export function countCodes(column: Column): number[] {
  const counts = new Array<number>(column.vocabulary?.length ?? 0).fill(0);
  for (const code of column.codes ?? []) if (code < counts.length) counts[code]!++;
  return counts;
}

/** The middle 98 of a hundred numbers: one stray value must not take all the colour. */
function limits(numbers: Float32Array | Float64Array): { low: number; high: number } {
  const step = Math.max(1, Math.floor(numbers.length / 20_000));
  const sample: number[] = [];
  for (let i = 0; i < numbers.length; i += step) if (Number.isFinite(numbers[i]!)) sample.push(numbers[i]!);
  sample.sort((a, b) => a - b);
  if (!sample.length) return { low: 0, high: 1 };
  return { low: sample[Math.floor(sample.length * 0.01)]!, high: sample[Math.min(sample.length - 1, Math.ceil(sample.length * 0.99))]! };
}

/** A value of a column as a reader takes it. */
export function shown(value: unknown, kind?: string): string {
  if (value === null || value === undefined || value === "") return "–";
  if (kind === "time" && typeof value === "number") return day(value);
  if (kind === "time" && typeof value === "string") return value.replace("T", " ").replace(/ 00:00(:00(\.0+)?)?(Z|\+00:00)?$/, "");
  return typeof value === "number" ? figure(value) : Array.isArray(value) ? value.join(", ") : String(value);
}

/** Seconds since 1970 as a day. */
export const day = (seconds: number): string => (Number.isFinite(seconds) ? new Date(seconds * 1000).toISOString().slice(0, 10) : "–");
