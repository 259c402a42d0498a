/**
 * Texts of strangers, made safe to show: control and direction characters out, piled-up marks cut, length bounded.
 *
 * The page shows every such text by `textContent` inside its own bidi isolate, so no text can be markup or turn the
 * line around it; what is left to do here is to keep it one short, legible run. The same result is drawn on canvas.
 */

/** Controls, bidi overrides and isolates, joiners out of place, tags, private use, lone surrogates. */
const HIDDEN =
  /[\p{Cc}\p{Cs}\p{Co}\p{Cn}\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\uffff\u{e0000}-\u{e0fff}]/gu;
/** More than this many marks on one letter is decoration meant to overflow the line. */
const MARKS_MAX = 2;
const PILED = new RegExp(`(\\p{M}{${MARKS_MAX}})\\p{M}+`, "gu");
/** A character as a reader counts them may still be a long chain of joiners. */
const CLUSTER_MAX = 12;

/** Names are drawn at every frame: what was made of a text is kept. */
const MADE_MAX = 1024;
const made = new Map<string, string>();

const segmenter =
  typeof Intl.Segmenter === "function" ? new Intl.Segmenter("ko", { granularity: "grapheme" }) : null;

/** At most `limit` characters (as a reader counts) of `text`, one line, nothing hidden, an ellipsis where it was cut. */
export function clean(text: string, limit: number): string {
  const key = `${limit} ${text}`;
  const had = made.get(key);
  if (had !== undefined) return had;
  if (made.size >= MADE_MAX) made.clear();
  const shown = cut(text, limit);
  made.set(key, shown);
  return shown;
}

function cut(text: string, limit: number): string {
  const short = text.length > limit * CLUSTER_MAX ? text.slice(0, limit * CLUSTER_MAX) : text;
  const plain = short.normalize("NFC").replace(/\s+/gu, " ").replace(HIDDEN, "").replace(PILED, "$1").trim();
  const parts =
    segmenter === null ? Array.from(plain) : Array.from(segmenter.segment(plain), (part) => part.segment);
  let shown = "";
  let count = 0;
  for (const part of parts) {
    if (count === limit) return `${shown}…`;
    shown += part.length > CLUSTER_MAX ? "�" : part;
    count += 1;
  }
  return shown;
}

/** A text fit to be sent: without what is hidden, which nodes refuse. */
export function sendable(text: string): string {
  return text.normalize("NFC").replace(/\s+/gu, " ").replace(HIDDEN, "").replace(PILED, "$1").trim();
}

export const NAME_SHOWN = 24;
export const SAID_SHOWN = 300;
export const BUBBLE_SHOWN = 72;
export const WISH_SHOWN = 80;

/** A name fit to show; `fallback` if nothing of it is left. */
export function cleanName(name: string | undefined, fallback: string): string {
  const shown = name === undefined ? "" : clean(name, NAME_SHOWN);
  return shown === "" ? fallback : shown;
}
