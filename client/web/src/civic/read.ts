/**
 * Reading what a log has: entries, proven to stand in it, and what is sealed with them, for whoever may ask.
 *
 * An entry is believed by its receipt. What is sealed is asked for with a signature (`readSealed`): by the key of the
 * filing itself, by that of the case for a letter in it, or by an official's who shows grants (their file's text). It is
 * opened with the filing's own key of the blob, the key of the case (`replyKey`), or the office's secret, and is what
 * the leaf stands for and signed by the person in it, or it throws `Malformed`.
 */

import { join, toHex } from "../net/bytes";
import type { Signer } from "../net/keys";
import { canonical, Malformed } from "../net/msgpack";
import { told } from "./answers";
import { openCheckpoint, parseCheckpoint } from "./note";
import { checkInclusion, leafHash, parseReceipt, RECEIPT_BYTES_MAX, type Trust } from "./receipt";
import { type Leaf, parseLeaf, parseSealed, type Sealed } from "./transaction";

const TO_BYTES = new TextEncoder();
const READ_NAME = TO_BYTES.encode("p2pworld civic read v1\n");
const TILE_WIDTH = 256;
const BUNDLE_BYTES_MAX = TILE_WIDTH * 65_537;
const SEALED_BYTES_MAX = 65_536 + 8 * 160 + 256;

export { NotTold } from "./answers";

/** The bytes that whoever reads signs. */
export function readStatement(stream: string, index: number, key: Uint8Array, minute: number): Uint8Array {
  return join(READ_NAME, canonical({ stream, index, key, minute }));
}

/** What is sealed with entry `index`, as the node has it; throws `NotTold` if it does not give it. */
export async function readSealed(
  url: string,
  stream: string,
  index: number,
  reader: Signer,
  minute: number,
  grants?: string,
  fetched: typeof fetch = fetch,
): Promise<Sealed> {
  const sig = await reader.sign(readStatement(stream, index, reader.public, minute));
  const asked = { key: toHex(reader.public), minute, sig: toHex(sig), ...(grants && { grants }) };
  const answer = await fetched(`${url}/civic/sealed/${stream}/${index}`, {
    method: "POST",
    body: JSON.stringify(asked), // plain text, so that another node may be asked without asking first
    credentials: "omit",
    cache: "no-store",
  });
  return parseSealed(await told(answer, SEALED_BYTES_MAX));
}

/** The leaf of entry `index`, proven to be in the log by the keys of `trust`. */
export async function readLeaf(
  url: string,
  stream: string,
  index: number,
  trust: Trust,
  fetched: typeof fetch = fetch,
): Promise<Leaf> {
  const receipt = parseReceipt(
    await told(await fetched(`${url}/civic/receipt/${stream}/${index}`), RECEIPT_BYTES_MAX),
  );
  const { size } = parseCheckpoint(receipt.checkpoint.text);
  const { origin, keys, witnesses } = trust.policy(stream, size);
  const checkpoint = await openCheckpoint(receipt.checkpoint, origin, keys, witnesses);
  const bundle = await told(
    await fetched(`${url}/log/${stream}/${bundlePath(index, size)}`),
    BUNDLE_BYTES_MAX,
  );
  const entry = entryIn(bundle, index % TILE_WIDTH);
  if (receipt.index !== index) throw new Malformed("proof-index");
  checkInclusion(leafHash(entry), index, checkpoint, receipt.proof);
  return parseLeaf(entry);
}

/** Where the bundle with entry `index` of a log of `size` lies (C2SP tlog-tiles). */
export function bundlePath(index: number, size: number): string {
  const number = Math.floor(index / TILE_WIDTH);
  const width = Math.min(TILE_WIDTH, size - number * TILE_WIDTH);
  const digits = String(number);
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, "0").match(/.../g) as string[];
  const name = groups.map((group, i) => (i < groups.length - 1 ? `x${group}` : group)).join("/");
  return `tile/entries/${name}${width < TILE_WIDTH ? `.p/${width}` : ""}`;
}

/** Entry `nth` of a bundle, each of which has its length in two bytes before it. */
export function entryIn(bundle: Uint8Array, nth: number): Uint8Array {
  const view = new DataView(bundle.buffer, bundle.byteOffset, bundle.byteLength);
  let at = 0;
  for (let i = 0; at + 2 <= bundle.length; i++) {
    const end = at + 2 + view.getUint16(at);
    if (end > bundle.length) break;
    if (i === nth) return bundle.slice(at + 2, end);
    at = end;
  }
  throw new Malformed("tile-size");
}
