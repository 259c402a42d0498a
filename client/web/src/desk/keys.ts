/**
 * An official's keys in this browser: read from the files that `p2pworld keys` made, kept in its database, and never
 * sent. The signing key is kept, where the browser can, so that no script reads it out again.
 */

import { secretOfText } from "../civic/seal";
import { same } from "../net/bytes";
import { type Chain, readChain } from "../net/grants";
import { type KeptKey, type Signer, signer, signerOfSeed } from "../net/keys";

const DATABASE = "p2pworld-desk";
const STORE = "keys";
const HELD = "held";
/** What stands before the seed in the PKCS #8 form of an Ed25519 key (RFC 8410). */
const PKCS8 = Uint8Array.from([48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32]);
const PEM = /-----BEGIN PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END PRIVATE KEY-----/;

/** Who sits at this desk. */
export interface Held {
  readonly signer: Signer;
  readonly chain: Chain;
  /** The file of grants, as it is shown beside an act. */
  readonly grants: string;
  /** What opens what is sealed for the office. */
  readonly secret: Uint8Array | null;
}

interface Kept {
  readonly key: KeptKey;
  readonly grants: string;
  readonly secret: Uint8Array | null;
}

/** Why files are not taken: a key of the page's words. */
export type Fault = "key_wrong" | "grant_wrong" | "grant_other" | "grant_over" | "secret_wrong";

/** The seed of a signing key in such a file, or null. */
export function seedOfText(text: string): Uint8Array | null {
  const [, body] = PEM.exec(text) ?? [];
  if (body === undefined) return null;
  let der: Uint8Array;
  try {
    der = Uint8Array.from(atob(body.replace(/\s/g, "")), (letter) => letter.charCodeAt(0));
  } catch {
    return null;
  }
  const head = der.subarray(0, PKCS8.length);
  return der.length === PKCS8.length + 32 && same(head, PKCS8) ? der.slice(PKCS8.length) : null;
}

/** What these files hold, or what is wrong with one; no file for the secret is an empty text. */
export function readFiles(key: string, grants: string, secret: string, nowMs: number): Seat | Fault {
  const seed = seedOfText(key);
  if (seed === null) return "key_wrong";
  const chain = readChain(grants);
  if (chain === null) return "grant_wrong";
  if (!same(chain.subject, signerOfSeed(seed).public)) return "grant_other";
  if (chain.untilMs <= nowMs) return "grant_over";
  const opens = secret.trim() === "" ? null : secretOfText(secret);
  if (opens === null && secret.trim() !== "") return "secret_wrong";
  return { seed, grants: linesOf(grants), secret: opens };
}

/** What is to be kept. */
export interface Seat {
  readonly seed: Uint8Array;
  readonly grants: string;
  readonly secret: Uint8Array | null;
}

/** The grants alone, a line each: what stands beside them in a file is for people. */
function linesOf(text: string): string {
  const lines = text.split("\n").map((line) => line.trim());
  return lines.filter((line) => line !== "" && !line.startsWith("#")).join("\n");
}

export async function keep(seat: Seat): Promise<void> {
  const key = (await unreadable(seat.seed)) ?? seat.seed;
  const kept: Kept = { key, grants: seat.grants, secret: seat.secret };
  await within("readwrite", (store) => store.put(kept, HELD));
}

export async function forget(): Promise<void> {
  await within("readwrite", (store) => store.delete(HELD));
}

/** Who sits here, or null. */
export async function held(): Promise<Held | null> {
  const kept = (await within("readonly", (store) => store.get(HELD))) as Kept | undefined;
  const chain = kept === undefined ? null : readChain(kept.grants);
  if (kept === undefined || chain === null) return null;
  return { signer: await signer(kept.key), chain, grants: kept.grants, secret: kept.secret };
}

/** The scope of what was granted, such as `streams:jongno`. */
export function scopeOf(chain: Chain): readonly string[] {
  const scope = chain.grants.at(-1)?.scope;
  return Array.isArray(scope) ? scope.filter((one): one is string => typeof one === "string") : [];
}

/** The key as a pair that only signs; null where the browser has no such keys. */
async function unreadable(seed: Uint8Array): Promise<CryptoKeyPair | null> {
  const within = globalThis.crypto?.subtle;
  if (within === undefined) return null;
  const der = new Uint8Array([...PKCS8, ...seed]);
  const open = Uint8Array.from(signerOfSeed(seed).public);
  try {
    const privateKey = await within.importKey("pkcs8", der, { name: "Ed25519" }, false, ["sign"]);
    const publicKey = await within.importKey("raw", open, { name: "Ed25519" }, true, ["verify"]);
    return { privateKey, publicKey };
  } catch {
    return null; // a browser that does not know this algorithm
  }
}

function within(mode: IDBTransactionMode, work: (store: IDBObjectStore) => IDBRequest): Promise<unknown> {
  return new Promise((done, failed) => {
    const opening = indexedDB.open(DATABASE, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
    opening.onerror = () => failed(opening.error);
    opening.onsuccess = () => {
      const database = opening.result;
      const transaction = database.transaction(STORE, mode);
      const asked = work(transaction.objectStore(STORE));
      transaction.oncomplete = () => {
        database.close();
        done(asked.result);
      };
      transaction.onabort = () => failed(transaction.error);
    };
  });
}
