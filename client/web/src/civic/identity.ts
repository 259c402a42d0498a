/**
 * A person's own keys: one root that can be written down in nine words, and a key of each device, signed by it; byte for
 * byte as p2pworld/services/identity.py.
 *
 * The root signs nothing but devices. A filing is signed by the device it is written on, and the root's word for that
 * device (`Device`) lies beside it in what is sealed, in the field `DEVICE`.
 */

import { join, same } from "../net/bytes";
import { type Signer, sha256, signerOfSeed, verify } from "../net/keys";
import { canonical, Malformed, unpack } from "../net/msgpack";
import { fromBase64, toBase64 } from "./note";
import { bytes, map, text, whole } from "./plain";

export const ENTROPY_BYTES = 16;
export const RECOVERY_WORDS = ENTROPY_BYTES / 2 + 1;
/** The name of the sealed field with the root's word for the device that filed. */
export const DEVICE = "device-proof";

const VERSION = 1;
const LABEL_MAX = 40;
const TEXT_MAX = 600;
const CONSONANTS = "bdfghjklmnprstvz";
const VOWELS = "aiou";
const WORD = new RegExp(`^[${CONSONANTS}]([${VOWELS}][${CONSONANTS}]){2}$`);
const SHIFTS = [
  [12, CONSONANTS],
  [10, VOWELS],
  [6, CONSONANTS],
  [4, VOWELS],
  [0, CONSONANTS],
] as const;
const TO_BYTES = new TextEncoder();
const ROOT_NAME = TO_BYTES.encode("p2pworld root v1\n");
const RECOVERY_NAME = TO_BYTES.encode("p2pworld recovery v1\n");
const DEVICE_NAME = TO_BYTES.encode("p2pworld device v1\n");
const LOST_NAME = TO_BYTES.encode("p2pworld device lost v1\n");

// ---- the root

/** The root key of 16 random bytes. */
export function rootOf(entropy: Uint8Array): Signer {
  if (entropy.length !== ENTROPY_BYTES) throw new RangeError(`a root is made of ${ENTROPY_BYTES} bytes`);
  return signerOfSeed(sha256(join(ROOT_NAME, entropy)));
}

/** The nine words to be written down. */
export function wordsOf(entropy: Uint8Array): string {
  const data = join(entropy, checksum(entropy));
  const words: string[] = [];
  for (let at = 0; at < data.length; at += 2) {
    const bits = ((data[at] as number) << 8) | (data[at + 1] as number);
    words.push(SHIFTS.map(([shift, letters]) => letters[(bits >> shift) & (letters.length - 1)]).join(""));
  }
  return words.join(" ");
}

/** What is wrong with words: their `count`, one of them (`place`, from 1), or that together they are not right. */
export type WordsFault =
  | { readonly kind: "count"; readonly count: number }
  | { readonly kind: "word"; readonly place: number }
  | { readonly kind: "checksum" };

/** What nine words say, however they are parted. */
export function entropyOf(said: string): Uint8Array | WordsFault {
  const words = said.toLowerCase().match(/[^\s,.;-]+/g) ?? [];
  if (words.length !== RECOVERY_WORDS) return { kind: "count", count: words.length };
  const place = words.findIndex((word) => !WORD.test(word));
  if (place >= 0) return { kind: "word", place: place + 1 };
  const bits = words.map((word) =>
    SHIFTS.reduce((sum, [shift, letters], i) => sum | (letters.indexOf(word[i] as string) << shift), 0),
  );
  const data = Uint8Array.from(bits.flatMap((each) => [each >> 8, each & 255]));
  const entropy = data.slice(0, ENTROPY_BYTES);
  return same(data.slice(ENTROPY_BYTES), checksum(entropy)) ? entropy : { kind: "checksum" };
}

function checksum(entropy: Uint8Array): Uint8Array {
  return sha256(join(RECOVERY_NAME, entropy)).slice(0, 2);
}

// ---- its devices

/** The root says since `minute`: this key is one of my devices, which I call `label`. */
export interface Device {
  readonly root: Uint8Array;
  readonly device: Uint8Array;
  readonly label: string;
  readonly minute: number;
  readonly sig: Uint8Array;
}

/** The root says: since `minute` this key is no device of mine. */
export type Lost = Omit<Device, "label">;

/** The root's word for a device, as one line. */
export async function signDevice(
  root: Signer,
  device: Uint8Array,
  label: string,
  minute: number,
): Promise<string> {
  const named = text(label, 0, LABEL_MAX);
  return signed(root, DEVICE_NAME, { v: VERSION, root: root.public, device, label: named, minute });
}

/** The root's word that a device is lost, as one line. */
export async function signLost(root: Signer, device: Uint8Array, minute: number): Promise<string> {
  return signed(root, LOST_NAME, { v: VERSION, root: root.public, device, minute });
}

/** The root's word in this line; throws `Malformed`: it is none (`device-text`), or not signed (`device-signature`). */
export async function parseDevice(line: string): Promise<Device> {
  const { label, ...said } = await read(line, DEVICE_NAME, ["label"]);
  return { ...said, label: text(label, 0, LABEL_MAX) };
}

/** As `parseDevice`, that a device is lost. */
export async function parseLost(line: string): Promise<Lost> {
  const { label: _, ...said } = await read(line, LOST_NAME, []);
  return said;
}

type Said = Readonly<Record<string, string | number | Uint8Array>>;

async function signed(root: Signer, name: Uint8Array, said: Said): Promise<string> {
  const sig = await root.sign(join(name, canonical({ ...said, sig: new Uint8Array(64) })));
  return toText(canonical({ ...said, sig }));
}

async function read(
  line: string,
  name: Uint8Array,
  more: readonly string[],
): Promise<Lost & { label?: string }> {
  const data = fromText(line.trim());
  const { v, ...said } = readMap(data, more);
  if (v !== VERSION || toText(canonical({ v, ...said })) !== line.trim()) throw new Malformed("device-text");
  const statement = join(name, canonical({ v, ...said, sig: new Uint8Array(64) }));
  if (!(await verify(said.root, statement, said.sig))) throw new Malformed("device-signature");
  return said;
}

function readMap(data: Uint8Array, more: readonly string[]): Lost & { readonly v: number; label?: string } {
  try {
    const said = map(unpack(data), ["v", "root", "device", "minute", "sig", ...more]);
    return {
      v: whole(said.v),
      root: bytes(said.root, 32),
      device: bytes(said.device, 32),
      minute: whole(said.minute, 2 ** 32 - 1),
      sig: bytes(said.sig, 64),
      ...(more.includes("label") && { label: text(said.label, 0, LABEL_MAX) }),
    };
  } catch (error) {
    if (error instanceof Malformed) throw new Malformed("device-text");
    throw error;
  }
}

function toText(data: Uint8Array): string {
  return toBase64(data).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

function fromText(line: string): Uint8Array {
  const standard = line.replace(/-/g, "+").replace(/_/g, "/");
  const data = /^[A-Za-z0-9_-]+$/.test(line)
    ? fromBase64(standard.padEnd(Math.ceil(line.length / 4) * 4, "="))
    : null;
  if (data === null || line.length > TEXT_MAX) throw new Malformed("device-text");
  return data;
}
