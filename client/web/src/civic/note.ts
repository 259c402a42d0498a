/**
 * Signed notes and checkpoints (C2SP signed-note, tlog-checkpoint, tlog-cosignature), read and verified as strictly as
 * p2pworld/merkle/note.py and checkpoint.py do.
 *
 * A signature by a key that the reader does not know means nothing; one by a known key that does not verify spoils the
 * whole note. What is wrong throws `Malformed` with the same reason as there.
 */

import { join, toHex } from "../net/bytes";
import { sha256, verify } from "../net/keys";
import { Malformed } from "../net/msgpack";

export const ED25519 = 0x01;
export const COSIGNATURE = 0x04;
export const LOG_SIZE_MAX = Number.MAX_SAFE_INTEGER;

const NOTE_BYTES_MAX = 65_536;
const TEXT_BYTES_MAX = 2_048;
const NAME_BYTES_MAX = 255;
const SIGNATURES_MAX = 32;
const KEY_ID_BYTES = 4;
const TIME_BYTES = 8;
const DASH = "— ";
// white space as Python has it: JavaScript's own takes U+FEFF, and leaves U+0085
const SPACE = "\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const NO_NAME = new RegExp(`[ +${SPACE}]`, "u");
const KEY_TEXT = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/;
const COUNT = /^(0|[1-9][0-9]{0,15})$/;
const TO_BYTES = new TextEncoder();
const TO_TEXT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A public key that notes are checked with. */
export interface VerifierKey {
  readonly name: string;
  readonly algorithm: number;
  readonly public: Uint8Array;
  readonly id: Uint8Array;
}

export interface NoteSignature {
  readonly name: string;
  readonly id: Uint8Array;
  readonly signature: Uint8Array;
}

/** A text that ends with a line's end, and its signatures. */
export interface Note {
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

/** A signature that is its key's; `timeS` is when a witness says it made it, else 0. */
export interface Verified {
  readonly key: VerifierKey;
  readonly timeS: number;
}

/** The log called `origin` has this many entries under this root. */
export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  readonly root: Uint8Array;
}

/** A checkpoint, and who signed it: keys of the log, and witnesses. */
export interface SignedCheckpoint extends Checkpoint {
  readonly signed: readonly Verified[];
  readonly cosigned: readonly Verified[];
}

/** The bytes that are written exactly so in base64 with padding, or null. */
export function fromBase64(text: string): Uint8Array | null {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4 !== 0) return null;
  const data = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return toBase64(data) === text ? data : null;
}

export function toBase64(data: Uint8Array): string {
  let text = "";
  for (const byte of data) text += String.fromCharCode(byte);
  return btoa(text);
}

/** The number of entries that is written so, in the one way there is, or null. */
export function parseCount(text: string): number | null {
  const count = COUNT.test(text) ? Number(text) : -1;
  return Number.isSafeInteger(count) && count >= 0 ? count : null;
}

/** The 32 bytes that are written so in base64, or null. */
export function parseHash(text: string): Uint8Array | null {
  const data = fromBase64(text);
  return data?.length === 32 ? data : null;
}

/** The key that is published as `name+id+base64`; throws `Malformed("note-key")`. */
export function parseKey(text: string): VerifierKey {
  const [, name, id, encoded] = KEY_TEXT.exec(text) ?? [];
  const data = encoded === undefined ? null : fromBase64(encoded);
  if (name === undefined || !isKeyName(name) || data?.length !== 33) throw new Malformed("note-key");
  const algorithm = data[0] as number;
  const key = { name, algorithm, public: data.slice(1), id: keyId(name, data) };
  if ((algorithm !== ED25519 && algorithm !== COSIGNATURE) || toHex(key.id) !== id)
    throw new Malformed("note-key");
  return key;
}

/** The note in these bytes, nothing of it verified. */
export function parseNote(data: Uint8Array): Note {
  if (data.length > NOTE_BYTES_MAX) throw new Malformed("note-size");
  if (data.some((byte) => byte < 0x20 && byte !== 0x0a)) throw new Malformed("note-control");
  let whole: string;
  try {
    whole = TO_TEXT.decode(data);
  } catch {
    throw new Malformed("note-utf8");
  }
  const gap = whole.lastIndexOf("\n\n");
  if (gap <= 0) throw new Malformed("note-form");
  return { text: whole.slice(0, gap + 1), signatures: readLines(whole.slice(gap + 2)) };
}

function readLines(text: string): NoteSignature[] {
  const lines = text.split("\n");
  if (lines.length < 2 || lines.pop() !== "") throw new Malformed("note-form");
  if (lines.length > SIGNATURES_MAX) throw new Malformed("note-signatures");
  const signatures = lines.map(readLine);
  if (new Set(signatures.map(nameAndId)).size < signatures.length) throw new Malformed("note-duplicate");
  return signatures;
}

function readLine(line: string): NoteSignature {
  const rest = line.startsWith(DASH) ? line.slice(DASH.length) : "";
  const gap = rest.indexOf(" ");
  const name = rest.slice(0, Math.max(gap, 0));
  const data = fromBase64(rest.slice(gap + 1));
  if (gap < 0 || !isKeyName(name) || data === null || data.length <= KEY_ID_BYTES)
    throw new Malformed("note-line");
  return { name, id: data.slice(0, KEY_ID_BYTES), signature: data.slice(KEY_ID_BYTES) };
}

/** What these keys state under the note: at least one of them signed it, and none of its signatures is false. */
export async function verifyNote(note: Note, keys: readonly VerifierKey[]): Promise<Verified[]> {
  const known = new Map(keys.map((key) => [nameAndId(key), key]));
  const text = TO_BYTES.encode(note.text);
  const found: Verified[] = [];
  for (const signature of note.signatures) {
    const key = known.get(nameAndId(signature));
    if (key === undefined) continue;
    const verified = await verifySignature(key, text, signature.signature);
    if (verified === null) throw new Malformed("note-signature");
    found.push(verified);
  }
  if (found.length === 0) throw new Malformed("note-unsigned");
  return found;
}

async function verifySignature(
  key: VerifierKey,
  text: Uint8Array,
  blob: Uint8Array,
): Promise<Verified | null> {
  if (key.algorithm === ED25519) return (await verify(key.public, text, blob)) ? { key, timeS: 0 } : null;
  if (blob.length <= TIME_BYTES) return null;
  const time = new DataView(blob.buffer, blob.byteOffset).getBigUint64(0);
  if (time >= 2n ** 63n) return null;
  const message = join(TO_BYTES.encode(`cosignature/v1\ntime ${time}\n`), text);
  return (await verify(key.public, message, blob.slice(TIME_BYTES))) ? { key, timeS: Number(time) } : null;
}

/** The checkpoint that a note's text is. */
export function parseCheckpoint(text: string): Checkpoint {
  const lines = text.split("\n");
  const long = TO_BYTES.encode(text).length > TEXT_BYTES_MAX;
  if (
    long ||
    lines.length < 4 ||
    lines.pop() !== "" ||
    lines.some((line) => line === "" || hasControls(line))
  )
    throw new Malformed("checkpoint-form");
  const [origin, count, hash] = lines as [string, string, string];
  const size = parseCount(count);
  if (size === null) throw new Malformed("checkpoint-size");
  const root = parseHash(hash);
  if (root === null) throw new Malformed("checkpoint-root");
  return { origin, size, root };
}

/** The checkpoint of the log `origin`, signed by at least one of its keys, no known key's signature being false. */
export async function openCheckpoint(
  note: Note,
  origin: string,
  logKeys: readonly VerifierKey[],
  witnessKeys: readonly VerifierKey[] = [],
): Promise<SignedCheckpoint> {
  const checkpoint = parseCheckpoint(note.text);
  if (checkpoint.origin !== origin) throw new Malformed("checkpoint-origin");
  const verified = await verifyNote(note, [...logKeys, ...witnessKeys]);
  const signed = verified.filter(({ key }) => logKeys.includes(key));
  if (signed.length === 0) throw new Malformed("note-unsigned");
  return { ...checkpoint, signed, cosigned: verified.filter(({ key }) => witnessKeys.includes(key)) };
}

/** How many different witnesses signed; one key under two names counts once. */
export function witnessesOf(opened: SignedCheckpoint): number {
  return new Set(opened.cosigned.map(({ key }) => toHex(key.public))).size;
}

function isKeyName(name: string): boolean {
  const { length } = TO_BYTES.encode(name);
  return !NO_NAME.test(name) && !hasControls(name) && length > 0 && length <= NAME_BYTES_MAX;
}

/** Whether there is a control character in it, or half of one that is no character. */
function hasControls(text: string): boolean {
  return [...text].some((letter) => letter < " " || /\p{Cs}/u.test(letter));
}

function keyId(name: string, data: Uint8Array): Uint8Array {
  return sha256(join(TO_BYTES.encode(`${name}\n`), data)).slice(0, KEY_ID_BYTES);
}

function nameAndId(one: { readonly name: string; readonly id: Uint8Array }): string {
  return `${one.name} ${toHex(one.id)}`;
}
