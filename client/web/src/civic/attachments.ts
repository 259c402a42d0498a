/**
 * What is attached: locked on this device, brought to the office's store, and fetched back by whoever has the key.
 *
 * The form's field holds the file's SHA-256. Of that and the filing's blob key come the lock's key and the key that owns
 * the file, whose public half is the name under which the locked bytes lie: so the office finds them by what it reads, and
 * nobody but the filer puts anything there. `upload` tells how far it is, and tries again until the node has said that it
 * is durable: the same bytes under the same name are the same file. The names of all files, each signed for this filing,
 * go beside it as a paper (`filesPaper`); what no filing names is thrown away after a day.
 */

import { fromHex, join, toHex } from "../net/bytes";
import { type Signer, sha256, signerOfSeed } from "../net/keys";
import { Malformed } from "../net/msgpack";
import { LOCK_OVERHEAD_BYTES, lock, unlock } from "./seal";
import type { Paper } from "./transaction";

const TO_BYTES = new TextEncoder();
const KEY_NAME = TO_BYTES.encode("p2pworld attachment key v1\n");
const OWNER_NAME = TO_BYTES.encode("p2pworld attachment owner v1\n");
const PUT = "p2pworld attachment put v1\n";
const FILED = TO_BYTES.encode("p2pworld attachment filed v1\n");
const SIGNATURE = "attachment-signature"; // the header
/** The sealed field of a letter in which the hashes of what is attached to it stand, as a list. */
export const FILES = "files";

const AGAIN_MS = [1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000];
const QUIET_MS = 60_000; // without a byte getting on

/** A file's place and key, which follow from its hash and the filing's blob key. */
export interface Attachment {
  /** SHA-256 of the file in hex, as the form has it. */
  readonly hash: string;
  /** Its public half is the name. */
  readonly owner: Signer;
  readonly key: Uint8Array;
}

/** The hash of a file as a form's field of the format `file` holds it. */
export function hashOf(file: Uint8Array): string {
  return toHex(sha256(file));
}

export function attachmentOf(blobKey: Uint8Array, hash: string): Attachment {
  const digest = fromHex(hash);
  return {
    hash,
    owner: signerOfSeed(sha256(join(OWNER_NAME, blobKey, digest))),
    key: sha256(join(KEY_NAME, blobKey, digest)),
  };
}

/** The file as it is brought. */
export function lockFile(attachment: Attachment, file: Uint8Array): Uint8Array {
  return lock(attachment.key, file);
}

/** The file in what was fetched; throws `Malformed("seal")` if it is not that file. */
export function unlockFile(attachment: Attachment, locked: Uint8Array): Uint8Array {
  const file = unlock(attachment.key, locked);
  if (hashOf(file) !== attachment.hash) throw new Malformed("seal");
  return file;
}

/** The names of all attachments of the filing of this key, as they are shown beside it; null if there are none. */
export async function filesPaper(
  attachments: readonly Attachment[],
  filingKey: Uint8Array,
): Promise<Paper | null> {
  if (attachments.length === 0) return null;
  const named = attachments.map(async ({ owner }) =>
    join(owner.public, await owner.sign(join(FILED, filingKey))),
  );
  return { kind: "files", data: join(...(await Promise.all(named))) };
}

/** The values in a sealed field: lists travel as JSON, and all else is one value. */
export function listed(value: string): string[] {
  if (!value.startsWith("[")) return [value];
  try {
    const read: unknown = JSON.parse(value);
    return Array.isArray(read) ? read.map(String) : [value];
  } catch {
    return [value];
  }
}

/** A request with a body whose progress can be heard; rejects when there is no answer. */
export type Carry = (
  url: string,
  body: Uint8Array,
  signature: string,
  progress: (bytes: number) => void,
  signal?: AbortSignal,
) => Promise<{ readonly status: number; readonly body: string }>;

export interface Upload {
  /** The base of a node's web face; empty text is the page's own. */
  readonly url: string;
  readonly stream: string;
  readonly attachment: Attachment;
  readonly locked: Uint8Array;
  /** Hears how many bytes of `locked` are on their way, from 0 again with each try. */
  readonly progress?: (bytes: number) => void;
  readonly signal?: AbortSignal;
  readonly carry?: Carry;
  readonly sleep?: (ms: number) => Promise<void>;
}

/** Durable; or refused for a reason; or `lost` after several tries, which may be begun again at any time. */
export type Uploaded =
  | { readonly kind: "kept" }
  | { readonly kind: "refused"; readonly reason: string; readonly said: { ko: string; en: string } }
  | { readonly kind: "lost" };

/** Brings one locked file to the office's store, with several tries. */
export async function upload(asked: Upload): Promise<Uploaded> {
  const { url, stream, attachment, locked, progress = () => {}, signal } = asked;
  const carry = asked.carry ?? carried;
  const sleep = asked.sleep ?? ((ms) => new Promise<void>((done) => setTimeout(done, ms)));
  const where = `${url}/civic/attachment/${stream}/${toHex(attachment.owner.public)}`;
  const signed = await attachment.owner.sign(join(TO_BYTES.encode(`${PUT}${stream}\n`), sha256(locked)));
  for (const pause of [0, ...AGAIN_MS]) {
    if (pause > 0) await sleep(pause);
    if (signal?.aborted) break;
    progress(0);
    const answer = await carry(where, locked, toHex(signed), progress, signal).catch(() => null);
    if (answer === null) continue;
    if (answer.status === 200) return { kind: "kept" };
    const told = parse(answer.body);
    if (told !== null) return { kind: "refused", ...told };
  }
  return { kind: "lost" };
}

/** The file that lies at the node, or null: there is none, or it is not that. */
export async function fetchFile(
  url: string,
  stream: string,
  attachment: Attachment,
  bytesMax: number,
  fetched: typeof fetch = fetch,
): Promise<Uint8Array | null> {
  const where = `${url}/civic/attachment/${stream}/${toHex(attachment.owner.public)}`;
  const answer = await fetched(where, { credentials: "omit", cache: "no-store" });
  const size = Number(answer.headers.get("content-length") ?? bytesMax + LOCK_OVERHEAD_BYTES);
  if (!answer.ok || size > bytesMax + LOCK_OVERHEAD_BYTES) return null;
  try {
    return unlockFile(attachment, new Uint8Array(await answer.arrayBuffer()));
  } catch (error) {
    if (error instanceof Malformed) return null;
    throw error;
  }
}

/** The refusal in an answer, or null where it may be tried again. */
function parse(body: string): { reason: string; said: { ko: string; en: string } } | null {
  try {
    const { reason, ko, en, retry } = JSON.parse(body) as Record<string, unknown>;
    if (typeof reason !== "string" || retry === true) return null;
    return { reason, said: { ko: String(ko ?? ""), en: String(en ?? "") } };
  } catch {
    return null;
  }
}

/** By XMLHttpRequest, the only way in which a browser tells how much of a body has left. */
function carried(
  url: string,
  body: Uint8Array,
  signature: string,
  progress: (bytes: number) => void,
  signal?: AbortSignal,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const lost = () => reject(new TypeError("no answer"));
    let quiet = setTimeout(() => request.abort(), QUIET_MS);
    request.open("PUT", url);
    request.setRequestHeader(SIGNATURE, signature);
    request.upload.onprogress = ({ loaded }) => {
      clearTimeout(quiet);
      quiet = setTimeout(() => request.abort(), QUIET_MS);
      progress(loaded);
    };
    request.onload = () => resolve({ status: request.status, body: request.responseText });
    request.onerror = request.onabort = lost;
    request.onloadend = () => {
      clearTimeout(quiet);
      signal?.removeEventListener("abort", stop);
    };
    const stop = () => request.abort();
    signal?.addEventListener("abort", stop);
    request.send(body as Uint8Array<ArrayBuffer>);
  });
}
