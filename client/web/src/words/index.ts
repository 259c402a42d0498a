/** The language the page speaks now, and its sentences. Whoever shows text asks again after `onLanguage`. */

import type { Words } from "../state/places";
import { clean } from "./clean";
import { codeText } from "./codes";
import { type Key, type Language, sentence } from "./table";

export type { Key, Language } from "./table";

/** A node that is asked for by a link may be anybody's: its words are bounded as those of strangers are. */
const TOLD_SHOWN = 200;
const STORED = "p2pworld.language";
let current: Language = chosen();
const listeners = new Set<() => void>();

function chosen(): Language {
  const kept = localStorage.getItem(STORED);
  if (kept === "ko" || kept === "en") return kept;
  return navigator.language.toLowerCase().startsWith("ko") ? "ko" : "en";
}

export function language(): Language {
  return current;
}

/** Speaks another language from now on, also at the next visit. */
export function speak(wanted: Language): void {
  current = wanted;
  localStorage.setItem(STORED, wanted);
  document.documentElement.lang = wanted;
  for (const listener of listeners) listener();
}

/** Calls `listener` whenever the language changed. */
export function onLanguage(listener: () => void): void {
  listeners.add(listener);
}

/** The sentence of `key`, its braces filled from `values`. */
export function say(key: Key, values?: Readonly<Record<string, string | number>>): string {
  const text = sentence(key, current);
  if (values === undefined) return text;
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

/** What a node told by a code, in the page's language if it is known there, else in the node's words. */
export function told(code: string, words: string, otherwise: Key = "refused"): string {
  return clean(codeText(code, words, current) ?? "", TOLD_SHOWN) || say(otherwise);
}

/** What a declaration calls itself in the page's language, or in any. */
export function named(words: Words): string {
  return words[current] ?? words.ko ?? words.en ?? "";
}

/** A time of day in Seoul. */
export function timeOfDay(unixMs: number): string {
  return new Intl.DateTimeFormat(current, {
    timeZone: "Asia/Seoul",
    hour: "2-digit",
    minute: "2-digit",
  }).format(unixMs);
}

/** A day and time in Seoul. */
export function dayAndTime(unixMs: number): string {
  const form = {
    timeZone: "Asia/Seoul",
    month: "long",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
  } as const;
  return new Intl.DateTimeFormat(current, form).format(unixMs);
}
