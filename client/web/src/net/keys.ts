/**
 * A person's Ed25519 key on this device. Where the browser can (WebCrypto, on a secure page) its private half never
 * leaves the browser, not even for this script; elsewhere a small implementation in JavaScript stands in.
 */

import { getPublicKey, hashes, sign as signSlowly, verify as verifySlowly } from "@noble/ed25519";
import { sha256, sha512 } from "@noble/hashes/sha2.js";

hashes.sha512 = (message) => Uint8Array.from(sha512(message as Uint8Array));

/** What is kept of a key: a pair that cannot be read out, or the seed of 32 bytes. */
export type KeptKey = CryptoKeyPair | Uint8Array;

export interface Signer {
  readonly public: Uint8Array;
  sign(message: Uint8Array): Promise<Uint8Array>;
}

const ED25519 = { name: "Ed25519" };

/** WebCrypto, if this page may use it. */
function subtle(): SubtleCrypto | undefined {
  return globalThis.crypto?.subtle;
}

/** A new key, to be kept. */
export async function newKey(): Promise<KeptKey> {
  try {
    const made = await subtle()?.generateKey(ED25519, false, ["sign", "verify"]);
    if (made) return made as CryptoKeyPair;
  } catch {
    // a browser that does not know this algorithm
  }
  return crypto.getRandomValues(new Uint8Array(32));
}

/** The signer of a key that was kept; throws if it is none. */
export async function signer(kept: KeptKey): Promise<Signer> {
  if (kept instanceof Uint8Array) return signerOfSeed(kept);
  const within = subtle();
  if (!within) throw new TypeError("this page cannot use the key that the browser keeps");
  const publicKey = new Uint8Array(await within.exportKey("raw", kept.publicKey));
  return {
    public: publicKey,
    sign: async (message) =>
      new Uint8Array(await within.sign(ED25519, kept.privateKey, message as Uint8Array<ArrayBuffer>)),
  };
}

/** The signer of a seed of 32 bytes. */
export function signerOfSeed(seed: Uint8Array): Signer {
  return { public: getPublicKey(seed), sign: (message) => Promise.resolve(signSlowly(message, seed)) };
}

/** Whether the holder of `key` signed `message`. */
export async function verify(key: Uint8Array, message: Uint8Array, sig: Uint8Array): Promise<boolean> {
  const within = subtle();
  if (within) {
    try {
      const imported = await within.importKey("raw", key as Uint8Array<ArrayBuffer>, ED25519, false, [
        "verify",
      ]);
      return await within.verify(
        ED25519,
        imported,
        sig as Uint8Array<ArrayBuffer>,
        message as Uint8Array<ArrayBuffer>,
      );
    } catch {
      // a browser that does not know this algorithm
    }
  }
  try {
    return verifySlowly(sig, message, key);
  } catch {
    return false;
  }
}

/** The avatar's id: the first 53 bits of the hash of the person's key; never 0. */
export function avatarId(key: Uint8Array): number {
  const hash = sha256(key);
  const view = new DataView(hash.buffer, hash.byteOffset);
  return view.getUint32(0) * 2 ** 21 + (view.getUint32(4) >>> 11) || 1;
}

export { sha256 };
