// Conditions as text: what the choices in the facets mean, and what may come next in a condition that is being typed.

import type { ColumnInfo } from "./api";
import { day } from "./palette";
import type { Pick } from "./state";

export const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`;
const RESERVED = new Set(["and", "or", "not", "in", "is", "null", "like", "between", "true", "false", "order", "group", "select", "from", "where", "case", "when", "end", "table", "all", "any"]);
export const column = (name: string): string => (/^[A-Za-z_]\w*$/.test(name) && !RESERVED.has(name.toLowerCase()) ? name : `"${name.replaceAll('"', '""')}"`);

/** The condition that a choice in a facet stands for. */
export function ofPick(info: ColumnInfo, pick: Pick): string {
  const name = column(info.name);
  if ("values" in pick) {
    const present = pick.values.filter((v): v is string => v !== null);
    const written = present.map((v) => (info.kind === "boolean" ? v : numeric(info) ? v : quoted(v)));
    const parts: string[] = [];
    if (info.kind === "boolean") parts.push(...written.map((v) => (v === "true" ? name : `not ${name}`)));
    else if (written.length === 1) parts.push(`${name} = ${written[0]}`);
    else if (written.length) parts.push(`${name} in (${written.join(", ")})`);
    if (pick.values.includes(null)) parts.push(`${name} is null`);
    return parts.length > 1 ? `(${parts.join(" or ")})` : (parts[0] ?? "");
  }
  const bound = (v: number): string => (pick.time ? quoted(new Date(v * 1000).toISOString().slice(0, 19)) : String(v));
  const parts = [pick.low === null ? "" : `${name} >= ${bound(pick.low)}`, pick.high === null ? "" : `${name} <= ${bound(pick.high)}`];
  return parts.filter(Boolean).join(" and ");
}

const numeric = (info: ColumnInfo): boolean => info.kind === "number";

/** All choices and the typed condition, together. */
export function joined(text: string, picks: ReadonlyMap<string, Pick>, columns: readonly ColumnInfo[]): string {
  const parts = [...picks].map(([name, pick]) => {
    const info = columns.find((c) => c.name === name);
    return info ? ofPick(info, pick) : "";
  });
  if (text.trim()) parts.push(parts.some(Boolean) && /\bor\b/i.test(text) ? `(${text.trim()})` : text.trim());
  return parts.filter(Boolean).join(" and ");
}

/** A choice in words for its chip. */
export function inWords(name: string, pick: Pick): string {
  if ("values" in pick) {
    const values = pick.values.map((v) => v ?? "missing");
    return `${name}: ${values.slice(0, 3).join(", ")}${values.length > 3 ? ` and ${values.length - 3} more` : ""}`;
  }
  const say = (v: number): string => (pick.time ? day(v) : String(Number(v.toPrecision(6))));
  if (pick.low === null) return `${name} ≤ ${say(pick.high ?? NaN)}`;
  if (pick.high === null) return `${name} ≥ ${say(pick.low)}`;
  return `${name}: ${say(pick.low)} – ${say(pick.high)}`;
}

/** What a completion puts in place of the word before the caret. */
export interface Completion {
  insert: string;
  shown: string;
  note: string;
}
/** What may stand at the caret: fixed words, or the values of a column. */
export interface Expected {
  from: number; // where the word begins that is to be replaced
  prefix: string;
  words: Completion[];
  valuesOf: ColumnInfo | null;
}

const TOKEN = /'(?:[^']|'')*'?|"(?:[^"]|"")*"?|[A-Za-z_][\w.]*|<>|[<>!]=?|=|[(),]|[-+]?[\d.]+/g;
const AFTER_COLUMN = new Set(["=", "<>", "!=", "<", ">", "<=", ">=", "like"]);

/** Read the text up to the caret and say what may come next. */
export function expected(text: string, caret: number, columns: readonly ColumnInfo[]): Expected {
  const tokens = [...text.slice(0, caret).matchAll(TOKEN)].map((m) => ({ text: m[0], start: m.index }));
  const last = tokens.at(-1);
  const touching = last !== undefined && last.start + last.text.length === caret && !/^[(),=<>!]+$/.test(last.text) && !closedQuote(last.text);
  const word = touching ? tokens.pop()! : null;
  const prefix = word?.text ?? "";
  const from = word?.start ?? caret;
  const named = (token: string): ColumnInfo | null => columns.find((c) => c.name.toLowerCase() === token.replace(/^"|"$/g, "").toLowerCase()) ?? null;
  const starts = (c: Completion): boolean => c.shown.toLowerCase().includes(prefix.replace(/^["']/, "").toLowerCase());
  const answer = (words: Completion[], valuesOf: ColumnInfo | null = null): Expected => ({ from, prefix, words: words.filter(starts), valuesOf });

  const back = (k: number): string => tokens.at(-k)?.text.toLowerCase() ?? "";
  const before = back(1);
  const ofColumn = named(before);
  if (ofColumn && !/^(and|or|not)$/.test(before)) return answer(signs(ofColumn));
  if (AFTER_COLUMN.has(before)) return answer([], named(back(2)));
  if (before === "in") return answer([{ insert: "(", shown: "(", note: "a list of values" }]);
  if (before === "(" || before === ",") {
    for (let k = 2; k < tokens.length; k++) {
      if (back(k) === "in") return answer([], named(back(k + 1)));
      if (back(k) === "(") break;
    }
  }
  if (before === "between") return answer([], named(back(2)));
  const open = !before || /^(and|or|not|\()$/.test(before);
  if (open) return answer(columns.map((c) => ({ insert: column(c.name), shown: c.name, note: c.kind })));
  return answer([
    { insert: "and", shown: "and", note: "both hold" },
    { insert: "or", shown: "or", note: "either holds" },
  ]);
}

const closedQuote = (token: string): boolean => token.length > 1 && token[0] === "'" && token.endsWith("'");

function signs(info: ColumnInfo): Completion[] {
  const ordered = info.kind === "number" || info.kind === "time";
  const all: [string, string][] = [["=", "equals"], ["<>", "differs from"]];
  if (ordered) all.push([">=", "at least"], ["<=", "at most"], [">", "more than"], ["<", "less than"], ["between", "from … and …"]);
  else all.push(["in (", "one of"], ["like", "% stands for any letters"]);
  all.push(["is null", "is missing"], ["is not null", "is there"]);
  return all.map(([sign, note]) => ({ insert: sign, shown: sign, note }));
}

/** A value as it is written in a condition on a column. */
export const written = (info: ColumnInfo, value: string): string => (info.kind === "number" || info.kind === "boolean" ? value : quoted(value));
