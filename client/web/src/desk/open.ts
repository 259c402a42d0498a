/**
 * Opening a case at the desk: the entries are taken from the log itself and proven to be in it, what is sealed with them
 * is asked for with the official's signature, and opened here, with the office's secret or with keys that the office
 * before has passed on in a letter (p2pworld/services/letters.py).
 */

import { NotTold, readLeaf, readSealed } from "../civic/read";
import { sealingPublic, unseal } from "../civic/seal";
import { openBlob, type Private, type Sealed } from "../civic/transaction";
import type { Trust } from "../civic/trust";
import { fromHex, same, toHex } from "../net/bytes";
import { Malformed } from "../net/msgpack";
import type { Held } from "./keys";
import type { Case } from "./words";

/** The sealed field of a letter in which the keys of earlier entries are passed on. */
export const KEYS = "keys";
const KEY_LINE = /^(0|[1-9][0-9]{0,14}) ([0-9a-f]{64})$/;

/** Why an entry stays shut: a key of the page's words. */
export type Shut = "shut_right" | "shut_key" | "shut_erased" | "shut_lost" | "shut_false";

/** What was sealed with an entry, and the key that it was opened with; or why it stays shut. */
export interface Opened {
  readonly entry: number;
  readonly private: Private | null;
  readonly key: Uint8Array | null;
  readonly shut: Shut | null;
}

/** What was sealed with the filing of a case and each letter about it, in their order. */
export async function openCase(held: Held, of: Case, trust: Trust, nowMs: number): Promise<Opened[]> {
  const letters = of.acts.filter((act) => act.letter);
  const entries = [{ entry: of.entry, erased: of.erased }, ...letters];
  const keys = new Map<number, Uint8Array>();
  const found: Opened[] = [];
  for (const { entry, erased } of entries.reverse()) {
    // what passes keys on comes after what they open
    const opened = erased
      ? shut(entry, "shut_erased")
      : await open(held, of.stream, entry, keys, trust, nowMs);
    found.unshift(opened);
    for (const [passed, key] of keysOf(fieldOf(opened, KEYS))) keys.set(passed, key);
  }
  return found;
}

/** What a sealed field of an entry says, or nothing. */
export function fieldOf(opened: Opened | undefined, name: string): string {
  return opened?.private?.fields.find((field) => field.name === name)?.value ?? "";
}

/** The keys in a letter that passes a case on; lines that hold none do not count. */
export function keysOf(text: string): Map<number, Uint8Array> {
  const found = new Map<number, Uint8Array>();
  for (const line of text.split("\n")) {
    const [, entry, key] = KEY_LINE.exec(line) ?? [];
    if (entry !== undefined && key !== undefined) found.set(Number(entry), fromHex(key));
  }
  return found;
}

/** The keys of what was opened, as they are passed on. */
export function keysText(opened: readonly Opened[]): string {
  const lines = opened.flatMap(({ entry, key }) => (key === null ? [] : [`${entry} ${toHex(key)}`]));
  return lines.join("\n");
}

function shut(entry: number, why: Shut): Opened {
  return { entry, private: null, key: null, shut: why };
}

async function open(
  held: Held,
  stream: string,
  entry: number,
  keys: ReadonlyMap<number, Uint8Array>,
  trust: Trust,
  nowMs: number,
): Promise<Opened> {
  try {
    const { filing } = await readLeaf("", stream, entry, trust);
    const minute = Math.floor(nowMs / 60_000);
    const sealed = await readSealed("", stream, entry, held.signer, minute, held.grants);
    const key = keys.get(entry) ?? ownKey(held, sealed);
    if (key === null) return shut(entry, "shut_key");
    return { entry, private: await openBlob(filing, sealed, key), key, shut: null };
  } catch (error) {
    if (error instanceof NotTold) return shut(entry, SHUT[error.reason] ?? "shut_lost");
    if (error instanceof Malformed) return shut(entry, "shut_false");
    if (error instanceof TypeError) return shut(entry, "shut_lost"); // what fetch throws without a network
    throw error;
  }
}

/** What a node's reasons come to. */
const SHUT: Readonly<Record<string, Shut>> = {
  forbidden: "shut_right",
  "civic-erased": "shut_erased",
};

/** The blob's key, where it was wrapped for this office. */
function ownKey(held: Held, sealed: Sealed): Uint8Array | null {
  if (held.secret === null) return null;
  const office = sealingPublic(held.secret);
  const wrap = sealed.wraps.find((each) => same(each.office, office));
  return wrap === undefined ? null : unseal(held.secret, wrap.key);
}
