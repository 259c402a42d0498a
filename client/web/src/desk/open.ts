/**
 * Opening a case at the desk: the entries are taken from the log itself and proven to be in it, what is sealed with them
 * is asked for with the official's signature, and opened here, with the office's secret or with keys that the office
 * before has passed on in a letter (p2pworld/services/letters.py).
 */

import { openCheckpoint, parseCheckpoint } from "../civic/note";
import { checkInclusion, leafHash, parseReceipt, type Trust } from "../civic/receipt";
import { sealingPublic, unseal } from "../civic/seal";
import {
  type Filing,
  openBlob,
  type Private,
  parseLeaf,
  parseSealed,
  type Sealed,
} from "../civic/transaction";
import { fromHex, join, same, toHex } from "../net/bytes";
import { canonical, Malformed } from "../net/msgpack";
import type { Held } from "./keys";
import type { Case } from "./words";

/** The sealed field of a letter in which the keys of earlier entries are passed on. */
export const KEYS = "keys";
const READ_NAME = new TextEncoder().encode("p2pworld civic read v1\n");
const KEY_LINE = /^(0|[1-9][0-9]{0,14}) ([0-9a-f]{64})$/;
const BUNDLE = 256;
const LENGTH_BYTES = 2;

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

/** The question for what is sealed with an entry, signed by who asks. */
export async function reading(held: Held, stream: string, index: number, nowMs: number): Promise<string> {
  const key = held.signer.public;
  const minute = Math.floor(nowMs / 60_000);
  const sig = await held.signer.sign(join(READ_NAME, canonical({ stream, index, key, minute })));
  return JSON.stringify({ key: toHex(key), minute, sig: toHex(sig), grants: held.grants.split("\n") });
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
    const filing = await filed(stream, entry, trust);
    const answer = await ask(`/civic/sealed/${stream}/${entry}`, await reading(held, stream, entry, nowMs));
    if (answer.status === 403) return shut(entry, "shut_right");
    if (answer.status === 404 || answer.status === 410) return shut(entry, "shut_erased");
    if (answer.status !== 200) return shut(entry, "shut_lost");
    const sealed = parseSealed(answer.body);
    const key = keys.get(entry) ?? ownKey(held, sealed);
    if (key === null) return shut(entry, "shut_key");
    return { entry, private: await openBlob(filing, sealed, key), key, shut: null };
  } catch (error) {
    if (error instanceof Malformed) return shut(entry, "shut_false");
    if (error instanceof TypeError) return shut(entry, "shut_lost"); // what fetch throws without a network
    throw error;
  }
}

/** The blob's key, where it was wrapped for this office. */
function ownKey(held: Held, sealed: Sealed): Uint8Array | null {
  if (held.secret === null) return null;
  const office = sealingPublic(held.secret);
  const wrap = sealed.wraps.find((each) => same(each.office, office));
  return wrap === undefined ? null : unseal(held.secret, wrap.key);
}

/** The filing of an entry, proven to be in the log by the keys of `trust`. */
async function filed(stream: string, entry: number, trust: Trust): Promise<Filing> {
  const answer = await ask(`/civic/receipt/${stream}/${entry}`);
  if (answer.status !== 200) throw new TypeError("no node shows the entry");
  const receipt = parseReceipt(answer.body);
  const { size } = parseCheckpoint(receipt.checkpoint.text);
  const { origin, keys, witnesses } = trust.policy(stream, size);
  const checkpoint = await openCheckpoint(receipt.checkpoint, origin, keys, witnesses);
  if (receipt.index !== entry) throw new Malformed("receipt-index");
  const first = entry - (entry % BUNDLE);
  const width = Math.min(size - first, BUNDLE);
  const bundle = await ask(`/log/${stream}/${bundlePath(first / BUNDLE, width)}`);
  if (bundle.status !== 200) throw new TypeError("no node shows the entry");
  const leaf = entryOf(bundle.body, entry - first);
  checkInclusion(leafHash(leaf), entry, checkpoint, receipt.proof);
  return parseLeaf(leaf).filing;
}

/** Where a bundle of entries lies below the log's address (C2SP tlog-tiles). */
export function bundlePath(index: number, width: number): string {
  const digits = String(index);
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, "0").match(/.{3}/g) ?? [];
  const name = groups.map((group, i) => (i < groups.length - 1 ? `x${group}` : group)).join("/");
  return `tile/entries/${name}${width === BUNDLE ? "" : `.p/${width}`}`;
}

/** The nth entry of a bundle. */
function entryOf(bundle: Uint8Array, nth: number): Uint8Array {
  const view = new DataView(bundle.buffer, bundle.byteOffset, bundle.length);
  let at = 0;
  for (let i = 0; at + LENGTH_BYTES <= bundle.length; i++) {
    const begin = at + LENGTH_BYTES;
    const end = begin + view.getUint16(at);
    if (i === nth && end <= bundle.length) return bundle.subarray(begin, end);
    at = end;
  }
  throw new Malformed("bundle-form");
}

/** What the node answers; a body is asked with POST. */
async function ask(path: string, body?: string): Promise<{ status: number; body: Uint8Array }> {
  const answer = await fetch(path, {
    credentials: "omit",
    cache: "no-store",
    ...(body !== undefined && { method: "POST", body }),
  });
  return { status: answer.status, body: new Uint8Array(await answer.arrayBuffer()) };
}
