/**
 * A civic transaction as this device files it: the same bytes as p2pworld/civic/transaction.py, from the same secrets.
 *
 * A `Filing` is public and signed by a key made for it alone; what only the office reads is in a blob that is locked
 * under a random key, which is wrapped for the office. `Secrets` are all that is random in it: who keeps them can file
 * the very same again, act on it, and read it. Nothing here asks a clock or a network.
 *
 * Reading is strict: whatever is not written in the one way there is throws `Malformed` with a reason.
 */

import { fromHex, join, same, toHex } from "../net/bytes";
import { type Signer, sha256, signerOfSeed, verify } from "../net/keys";
import { canonical, type Fields, Malformed, unpack, type Value } from "../net/msgpack";
import { bytes, list, map, text, whole } from "./plain";
import { lock, OVERHEAD_BYTES, sealingPublic, sealWith, unlock, unseal } from "./seal";

export const LEAF_VERSION = 1;
export const LEAF_BYTES_MAX = 4_096;
export const SEALED_BYTES_MAX = 65_536;
export const PAPER_BYTES_MAX = 4_096;
export const PAPERS_MAX = 4;
const FIELDS_MAX = 32;
const TEXT_MAX = 20_000;
const WRAPS_MAX = 8;

const TO_BYTES = new TextEncoder();
const FILING_NAME = TO_BYTES.encode("p2pworld civic filing v1\n");
const IDENTITY_NAME = TO_BYTES.encode("p2pworld civic identity v1\n");
const SEALED_NAME = TO_BYTES.encode("p2pworld civic sealed v2\n");
const WRAPS_NAME = TO_BYTES.encode("p2pworld civic wraps v1\n");
const WRAP_NAME = TO_BYTES.encode("p2pworld civic wrap v1\n");
const SECRETS = /^seed ([0-9a-f]{64})\s+blob_key ([0-9a-f]{64})\s+nonce ([0-9a-f]{64})$/;

/** One thing that is said. */
export interface Field {
  readonly name: string;
  readonly value: string;
}

/** What the transaction's own key signs; `minute` is of Unix time. `sealed` and `via` are absent where there is none. */
export interface Filing {
  readonly type: string;
  readonly stream: string;
  readonly key: Uint8Array;
  readonly minute: number;
  readonly public: readonly Field[];
  readonly sealed?: Uint8Array;
  readonly via?: Uint8Array;
}

/** The blob's key, sealed for the holder of `office`. */
export interface Wrap {
  readonly office: Uint8Array;
  readonly key: Uint8Array;
}

/** What is kept beside the log, and destroyed by erasure. */
export interface Sealed {
  readonly nonce: Uint8Array;
  readonly blob: Uint8Array;
  readonly wraps: readonly Wrap[];
  readonly filed: Uint8Array;
}

/** What is in the blob: who files, what only the office reads, and that person's signature over everything. */
export interface Private {
  readonly identity: Uint8Array;
  readonly fields: readonly Field[];
  readonly sig: Uint8Array;
}

/** What is shown beside a filing to the log's holder, and stands in no leaf: `claim`, `grants` or `files`. */
export interface Paper {
  readonly kind: string;
  readonly data: Uint8Array;
}

export interface Submission {
  readonly filing: Filing;
  readonly sig: Uint8Array;
  readonly sealed?: Sealed;
  readonly papers?: readonly Paper[];
}

export interface Leaf {
  readonly v: number;
  readonly epoch: number;
  readonly filing: Filing;
  readonly sig: Uint8Array;
}

/** 96 random bytes, fresh for each transaction. */
export interface Secrets {
  readonly seed: Uint8Array;
  readonly blobKey: Uint8Array;
  readonly nonce: Uint8Array;
}

// ---- secrets

export function newSecrets(): Secrets {
  const [seed, blobKey, nonce] = [0, 1, 2].map(() => crypto.getRandomValues(new Uint8Array(32)));
  return { seed, blobKey, nonce } as Secrets;
}

/** What is written into a file that keeps them; `p2pworld file` reads it too. */
export function secretsText(secrets: Secrets): string {
  return `seed ${toHex(secrets.seed)}\nblob_key ${toHex(secrets.blobKey)}\nnonce ${toHex(secrets.nonce)}\n`;
}

/** The secrets in such a file, or null. */
export function secretsOfText(text: string): Secrets | null {
  const [, seed, blobKey, nonce] = SECRETS.exec(text.trim()) ?? [];
  if (seed === undefined || blobKey === undefined || nonce === undefined) return null;
  return { seed: fromHex(seed), blobKey: fromHex(blobKey), nonce: fromHex(nonce) };
}

// ---- filing

/** All that goes into a transaction with something sealed; `offices` are sealing keys. */
export interface Asked {
  readonly type: string;
  readonly stream: string;
  readonly minute: number;
  /** In the order in which the type has them, all of them. */
  readonly public: readonly Field[];
  readonly private: readonly Field[];
  readonly identity: Signer;
  readonly offices: readonly Uint8Array[];
  readonly secrets: Secrets;
}

/**
 * The signed submission, readable to each of `offices`. The same is made from the same secrets.
 *
 * Throws RangeError: too long, or no office to read it.
 */
export async function fileTransaction(asked: Asked): Promise<Submission> {
  const { secrets, identity } = asked;
  if (asked.offices.length === 0 || asked.offices.length > WRAPS_MAX)
    throw new RangeError(`${asked.offices.length} offices are to read this`);
  const signer = signerOfSeed(secrets.seed);
  const open = openFiling(asked, signer);
  const sig = await identity.sign(identityStatement(open, asked.private));
  const hidden = canonical({ identity: identity.public, fields: plainFields(asked.private), sig });
  const blob = lock(secrets.blobKey, hidden);
  if (blob.length > SEALED_BYTES_MAX) throw new RangeError(`${blob.length} bytes to be sealed`);
  const wraps = asked.offices.map((office) => ({ office, key: wrapKey(office, secrets) }));
  const sealed = { nonce: secrets.nonce, blob, wraps, filed: wrapsHash(wraps) };
  return signed({ ...open, sealed: commitment(sealed) }, signer, sealed);
}

/** The signed submission of a type with nothing sealed; `seed` is 32 random bytes, fresh for it. */
export function fileOpen(
  asked: Pick<Asked, "type" | "stream" | "minute" | "public">,
  seed: Uint8Array,
): Promise<Submission> {
  const signer = signerOfSeed(seed);
  return signed(openFiling(asked, signer), signer);
}

/** The same submission with these papers beside it. */
export function withPapers(submission: Submission, papers: readonly Paper[]): Submission {
  if (papers.length > PAPERS_MAX || papers.some(({ data }) => data.length > PAPER_BYTES_MAX))
    throw new RangeError("too many papers, or too long ones");
  const { filing, sig, sealed } = submission;
  return { filing, sig, ...(sealed && { sealed }), ...(papers.length > 0 && { papers }) };
}

function openFiling(asked: Pick<Asked, "type" | "stream" | "minute" | "public">, signer: Signer): Filing {
  const { type, stream, minute } = asked;
  return { type, stream, key: signer.public, minute, public: asked.public };
}

async function signed(filing: Filing, signer: Signer, sealed?: Sealed): Promise<Submission> {
  const sig = await signer.sign(filingStatement(filing));
  const submission = { filing, sig, ...(sealed && { sealed }) };
  const size = leafBytes(submission, Number.MAX_SAFE_INTEGER).length;
  if (size > LEAF_BYTES_MAX) throw new RangeError(`a leaf of ${size} bytes`);
  return submission;
}

function wrapKey(office: Uint8Array, secrets: Secrets): Uint8Array {
  const ephemeral = sha256(join(WRAP_NAME, secrets.seed, secrets.blobKey, office));
  return sealWith(ephemeral, office, secrets.blobKey);
}

// ---- the bytes

/** What the transaction's own key signs. */
export function filingStatement(filing: Filing): Uint8Array {
  return join(FILING_NAME, canonical(filingMap(filing)));
}

/** What the identity in the blob signs: all but the hash of the blob, and a gateway's signature over that. */
export function identityStatement(filing: Filing, hidden: readonly Field[]): Uint8Array {
  const said = {
    ...filing,
    sealed: undefined,
    public: filing.via ? filing.public.slice(0, -1) : filing.public,
  };
  return join(IDENTITY_NAME, canonical({ filing: filingMap(said), fields: plainFields(hidden) }));
}

/** The hash by which a leaf stands for what is sealed. */
export function commitment(sealed: Sealed): Uint8Array {
  return sha256(join(SEALED_NAME, sealed.nonce, sha256(sealed.blob), sealed.filed));
}

/** What stands for the wraps as they were filed. */
export function wrapsHash(wraps: readonly Wrap[]): Uint8Array {
  return sha256(join(WRAPS_NAME, ...wraps.flatMap(({ office, key }) => [office, key])));
}

/** The submission as it travels. */
export function submissionBytes(submission: Submission): Uint8Array {
  const { filing, sig, sealed, papers } = submission;
  return canonical({
    filing: filingMap(filing),
    sig,
    sealed: sealed && sealedMap(sealed),
    papers: papers?.map(({ kind, data }) => ({ kind, data })),
  });
}

/** What is sealed, as a store keeps it. */
export function sealedBytes(sealed: Sealed): Uint8Array {
  return canonical(sealedMap(sealed));
}

/** The entry of the log that this submission is, taken in this epoch. */
export function leafBytes(submission: Pick<Submission, "filing" | "sig">, epoch: number): Uint8Array {
  return canonical({ v: LEAF_VERSION, epoch, filing: filingMap(submission.filing), sig: submission.sig });
}

function filingMap(filing: Filing): Fields {
  return {
    type: filing.type,
    stream: filing.stream,
    key: filing.key,
    minute: filing.minute,
    public: filing.public.length > 0 ? plainFields(filing.public) : undefined,
    sealed: filing.sealed?.length ? filing.sealed : undefined,
    via: filing.via?.length ? filing.via : undefined,
  };
}

function sealedMap({ nonce, blob, wraps, filed }: Sealed): Fields {
  return { nonce, blob, wraps: wraps.map(({ office, key }) => ({ office, key })), filed };
}

function plainFields(fields: readonly Field[]): readonly Fields[] {
  return fields.map(({ name, value }) => ({ name, value }));
}

// ---- reading

/** The leaf in an entry of a log, its signature not verified. */
export function parseLeaf(entry: Uint8Array): Leaf {
  if (entry.length > LEAF_BYTES_MAX) throw new Malformed("leaf-size");
  const { v, epoch, filing, sig } = map(unpack(entry), ["v", "epoch", "filing", "sig"]);
  if (v !== LEAF_VERSION) throw new Malformed("leaf-version");
  const leaf = { v, epoch: whole(epoch), filing: readFiling(filing), sig: bytes(sig, 64) };
  if (!same(leafBytes(leaf, leaf.epoch), entry)) throw new Malformed("leaf-canonical");
  return leaf;
}

/** What a store has kept of what is sealed; a node answers with it to whoever may read. */
export function parseSealed(data: Uint8Array): Sealed {
  return readSealed(unpack(data));
}

/** The submission in these bytes, nothing of it verified. */
export function parseSubmission(data: Uint8Array): Submission {
  const { filing, sig, sealed, papers } = map(unpack(data), ["filing", "sig"], ["sealed", "papers"]);
  const submission: Submission = {
    filing: readFiling(filing),
    sig: bytes(sig, 64),
    ...(sealed !== undefined && { sealed: readSealed(sealed) }),
    ...(papers !== undefined && { papers: list(papers, PAPERS_MAX).map(readPaper) }),
  };
  if (!same(submissionBytes(submission), data)) throw new Malformed("submission-canonical");
  return submission;
}

/** Whether the transaction's own key signed it. */
export function verifyFiling(filing: Filing, sig: Uint8Array): Promise<boolean> {
  return verify(filing.key, filingStatement(filing), sig);
}

/**
 * What is in the blob, and that the person in it filed just this; `secret` is one of those it was wrapped for.
 *
 * Throws `Malformed`: it is not the filing's (`civic-sealed`), not for this secret or altered (`seal`), or not signed
 * by the identity in it (`civic-identity`).
 */
export function openSealed(filing: Filing, sealed: Sealed, secret: Uint8Array): Promise<Private> {
  const office = sealingPublic(secret);
  const wrap = sealed.wraps.find((each) => same(each.office, office));
  if (wrap === undefined) throw new Malformed("seal");
  return openBlob(filing, sealed, unseal(secret, wrap.key));
}

/** The same for whoever has the blob's key itself: who filed it. */
export async function openBlob(filing: Filing, sealed: Sealed, blobKey: Uint8Array): Promise<Private> {
  if (!filing.sealed || !same(filing.sealed, commitment(sealed))) throw new Malformed("civic-sealed");
  const hidden = map(unpack(unlock(blobKey, sealed.blob)), ["identity", "fields", "sig"]);
  const found = {
    identity: bytes(hidden.identity, 32),
    fields: readFields(hidden.fields),
    sig: bytes(hidden.sig, 64),
  };
  if (!(await verify(found.identity, identityStatement(filing, found.fields), found.sig)))
    throw new Malformed("civic-identity");
  return found;
}

function readFiling(value: Value | undefined): Filing {
  const { type, stream, key, minute, ...rest } = map(
    value,
    ["type", "stream", "key", "minute"],
    ["public", "sealed", "via"],
  );
  return {
    type: text(type, 1, 40),
    stream: text(stream, 1, 80),
    key: bytes(key, 32),
    minute: whole(minute, 2 ** 32 - 1),
    public: rest.public === undefined ? [] : readFields(rest.public),
    ...(rest.sealed !== undefined && { sealed: bytes(rest.sealed, 32) }),
    ...(rest.via !== undefined && { via: bytes(rest.via, 32) }),
  };
}

function readSealed(value: Value): Sealed {
  const { nonce, blob, wraps, filed } = map(value, ["nonce", "blob", "wraps", "filed"]);
  if (!(blob instanceof Uint8Array) || blob.length === 0 || blob.length > SEALED_BYTES_MAX)
    throw new Malformed("field-size");
  const found = list(wraps, WRAPS_MAX).map((each) => {
    const { office, key } = map(each, ["office", "key"]);
    return { office: bytes(office, 32), key: bytes(key, 32 + OVERHEAD_BYTES) };
  });
  return { nonce: bytes(nonce, 32), blob, wraps: found, filed: bytes(filed, 32) };
}

function readPaper(value: Value): Paper {
  const { kind, data } = map(value, ["kind", "data"]);
  if (!(data instanceof Uint8Array) || data.length > PAPER_BYTES_MAX) throw new Malformed("field-size");
  return { kind: text(kind, 1, 40), data };
}

function readFields(value: Value | undefined): Field[] {
  return list(value, FIELDS_MAX).map((each) => {
    const { name, value: said } = map(each, ["name", "value"]);
    return { name: text(name, 1, 40), value: text(said, 0, TEXT_MAX) };
  });
}
