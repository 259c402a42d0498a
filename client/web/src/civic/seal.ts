/**
 * Sealed boxes: anybody may write to a public key, only its holder reads; and locks, whose one key opens one thing.
 *
 * The bytes are libsodium's (X25519, XSalsa20-Poly1305), the same as those of p2pworld/crypto/seal.py. What cannot be
 * opened throws `Malformed("seal")`; a key that is none throws RangeError.
 */

import { hsalsa, xsalsa20poly1305 } from "@noble/ciphers/salsa.js";
import { x25519 } from "@noble/curves/ed25519.js";
import { blake2b } from "@noble/hashes/blake2.js";
import { fromHex, join, toHex } from "../net/bytes";
import { Malformed } from "../net/msgpack";

export const OVERHEAD_BYTES = 48;
export const LOCK_OVERHEAD_BYTES = 16;

const NONCE_BYTES = 24;
const ONLY_NONCE = new Uint8Array(NONCE_BYTES); // a key locks one thing only, so there is nothing to tell apart
const SECRET_LINE = "p2pworld sealing secret";
const SIGMA = words(new TextEncoder().encode("expand 32-byte k"));

/** The 32-byte public key of a 32-byte secret. */
export function sealingPublic(secret: Uint8Array): Uint8Array {
  return x25519.getPublicKey(sized(secret));
}

/** What is written into a file that keeps this secret: as `p2pworld keys office` does. */
export function secretText(secret: Uint8Array): string {
  return `${SECRET_LINE}\n${toHex(sized(secret))}\n`;
}

/** The 32-byte secret in such a file, or null. */
export function secretOfText(text: string): Uint8Array | null {
  const [line, digits, ...more] = text.trim().split("\n");
  if (line?.trim() !== SECRET_LINE || digits === undefined || more.length > 0) return null;
  return /^[0-9a-f]{64}$/.test(digits.trim()) ? fromHex(digits.trim()) : null;
}

/** `data` for the holder of `office` alone, `OVERHEAD_BYTES` longer and different every time. */
export function seal(office: Uint8Array, data: Uint8Array): Uint8Array {
  return sealWith(crypto.getRandomValues(new Uint8Array(32)), office, data);
}

/** As `seal`, and the same every time: `ephemeral` is 32 random bytes that seal this for this key and nothing else. */
export function sealWith(ephemeral: Uint8Array, office: Uint8Array, data: Uint8Array): Uint8Array {
  const mine = sealingPublic(ephemeral);
  const key = shared(ephemeral, sized(office));
  return join(mine, xsalsa20poly1305(key, nonceOf(mine, office)).encrypt(data));
}

/** What was sealed for this 32-byte secret. */
export function unseal(secret: Uint8Array, sealed: Uint8Array): Uint8Array {
  const mine = sealingPublic(secret);
  if (sealed.length < OVERHEAD_BYTES) throw new Malformed("seal");
  const ephemeral = sealed.subarray(0, 32);
  return opened(() =>
    xsalsa20poly1305(shared(secret, ephemeral), nonceOf(ephemeral, mine)).decrypt(sealed.subarray(32)),
  );
}

/** `data` for whoever has these 32 random bytes, which must lock nothing else; `LOCK_OVERHEAD_BYTES` longer. */
export function lock(key: Uint8Array, data: Uint8Array): Uint8Array {
  return xsalsa20poly1305(sized(key), ONLY_NONCE).encrypt(data);
}

/** What was locked with this key. */
export function unlock(key: Uint8Array, locked: Uint8Array): Uint8Array {
  return opened(() => xsalsa20poly1305(sized(key), ONLY_NONCE).decrypt(locked));
}

function opened(open: () => Uint8Array): Uint8Array {
  try {
    return open();
  } catch {
    throw new Malformed("seal");
  }
}

function sized(key: Uint8Array): Uint8Array {
  if (key.length !== 32) throw new RangeError(`a key is 32 bytes, not ${key.length}`);
  return key;
}

/** The key that two X25519 keys have in common, as NaCl's box derives it. */
function shared(secret: Uint8Array, other: Uint8Array): Uint8Array {
  let point: Uint8Array;
  try {
    point = x25519.getSharedSecret(secret, other);
  } catch {
    throw new RangeError("this is no sealing key: everybody could read what was sealed for it");
  }
  const key = new Uint32Array(8);
  hsalsa(SIGMA, words(point), new Uint32Array(4), key);
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  key.forEach((word, i) => {
    view.setUint32(4 * i, word, true);
  });
  return bytes;
}

function nonceOf(ephemeral: Uint8Array, office: Uint8Array): Uint8Array {
  return blake2b(join(ephemeral, office), { dkLen: NONCE_BYTES });
}

function words(bytes: Uint8Array): Uint32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Uint32Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(4 * i, true));
}
