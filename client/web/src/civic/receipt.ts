/**
 * Receipts (C2SP tlog-proof), verified on the citizen's device: that just this filing is entry number so-and-so of the
 * office's log, signed by the log's key, and by so many witnesses.
 *
 * `checkFiled` believes nothing that a node says: the receipt tells the epoch of the leaf, and with a wrong one the
 * proof does not lead to the root. Whose keys count says `trust`. What does not
 * hold throws `Malformed`, with the reasons of p2pworld/merkle/receipt.py, proof.py, note.py and checkpoint.py.
 */

import { join, same } from "../net/bytes";
import { sha256 } from "../net/keys";
import { Malformed } from "../net/msgpack";
import {
  fromBase64,
  type Note,
  openCheckpoint,
  parseCheckpoint,
  parseCount,
  parseHash,
  parseNote,
  type SignedCheckpoint,
  witnessesOf,
} from "./note";
import { leafBytes, type Submission } from "./transaction";
import type { Trust } from "./trust";

export { readTrust, type Trust } from "./trust";

export const RECEIPT_BYTES_MAX = 65_536 + 63 * 45 + 65_536 + 128;
const EXTRA_BYTES_MAX = 49_152;
const PROOF_HASHES_MAX = 63;
const FIRST_LINE = "c2sp.org/tlog-proof@v1";
const TO_TEXT = new TextDecoder("utf-8", { ignoreBOM: true });

/** Entry number `index`, the proof from its hash to the root, and the checkpoint with that root. */
export interface Receipt {
  readonly index: number;
  readonly proof: readonly Uint8Array[];
  readonly checkpoint: Note;
  readonly extra: Uint8Array;
}

/** What a receipt proves: `witnesses` have signed, of `quorum` that the city asks for. */
export interface Proven {
  readonly index: number;
  readonly epoch: number;
  readonly leaf: Uint8Array;
  readonly checkpoint: SignedCheckpoint;
  readonly witnesses: number;
  readonly quorum: number;
}

/** The receipt in these bytes, nothing of it verified. */
export function parseReceipt(data: Uint8Array): Receipt {
  if (data.length > RECEIPT_BYTES_MAX) throw new Malformed("receipt-size");
  const gap = data.findIndex((byte, i) => byte === 0x0a && data[i + 1] === 0x0a);
  const [first, ...lines] = TO_TEXT.decode(data.subarray(0, Math.max(gap, 0))).split("\n");
  if (first !== FIRST_LINE || lines.length === 0) throw new Malformed("receipt-form");
  let extra: Uint8Array = new Uint8Array();
  if (lines[0]?.startsWith("extra ")) {
    extra = fromBase64((lines.shift() as string).slice("extra ".length)) ?? extra;
    if (extra.length === 0 || extra.length > EXTRA_BYTES_MAX) throw new Malformed("receipt-form");
  }
  const line = lines.shift();
  const index = line?.startsWith("index ") ? parseCount(line.slice("index ".length)) : null;
  if (index === null) throw new Malformed("receipt-index");
  if (lines.length > PROOF_HASHES_MAX) throw new Malformed("proof-length");
  const proof = lines.map((text) => {
    const hash = parseHash(text);
    if (hash === null) throw new Malformed("proof-hash");
    return hash;
  });
  return { index, proof, checkpoint: parseNote(data.subarray(gap + 2)), extra };
}

/** The epoch that a receipt tells, or null. */
export function notedEpoch(receipt: Receipt): number | null {
  const text = TO_TEXT.decode(receipt.extra);
  return text.startsWith("epoch ") ? parseCount(text.slice("epoch ".length)) : null;
}

/** The hash by which an entry stands in the tree (RFC 6962). */
export function leafHash(entry: Uint8Array): Uint8Array {
  return sha256(join(Uint8Array.of(0), entry));
}

function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  return sha256(join(Uint8Array.of(1), left, right));
}

/** Throws `Malformed` unless `proof` shows that the leaf with hash `leaf` is number `index` of the tree. */
export function checkInclusion(
  leaf: Uint8Array,
  index: number,
  tree: { readonly size: number; readonly root: Uint8Array },
  proof: readonly Uint8Array[],
): void {
  if (index >= tree.size) throw new Malformed("proof-index");
  const isLeft: boolean[] = []; // of each sibling, from the root down
  for (let begin = 0, end = tree.size; end - begin > 1; ) {
    const middle = begin + split(end - begin);
    isLeft.push(index >= middle);
    if (index < middle) end = middle;
    else begin = middle;
  }
  if (proof.length !== isLeft.length) throw new Malformed("proof-length");
  const found = proof.reduce(
    (hash, sibling, i) => (isLeft[isLeft.length - 1 - i] ? nodeHash(sibling, hash) : nodeHash(hash, sibling)),
    leaf,
  );
  if (!same(found, tree.root)) throw new Malformed("proof-root");
}

/** The largest power of two below `size`. */
function split(size: number): number {
  let left = 1;
  while (left * 2 < size) left *= 2;
  return left;
}

/** What this receipt proves of the submission by the keys of `trust`. */
export async function checkFiled(
  data: Uint8Array,
  submission: Pick<Submission, "filing" | "sig">,
  trust: Trust,
): Promise<Proven> {
  const receipt = parseReceipt(data);
  const epoch = notedEpoch(receipt);
  if (epoch === null) throw new Malformed("receipt-epoch");
  const { size } = parseCheckpoint(receipt.checkpoint.text);
  const { origin, keys, witnesses, quorum } = trust.policy(submission.filing.stream, size);
  const checkpoint = await openCheckpoint(receipt.checkpoint, origin, keys, witnesses);
  const leaf = leafBytes(submission, epoch);
  checkInclusion(leafHash(leaf), receipt.index, checkpoint, receipt.proof);
  return { index: receipt.index, epoch, leaf, checkpoint, witnesses: witnessesOf(checkpoint), quorum };
}
