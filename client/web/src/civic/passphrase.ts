/**
 * A text locked with a passphrase, as text: its first line says what it is, the second how the key is made of the
 * passphrase (scrypt, RFC 7914: the power of two it costs, and a salt), the third is the locked text in base64.
 */

import { scryptAsync } from "@noble/hashes/scrypt.js";
import { fromHex, toHex } from "../net/bytes";
import { Malformed } from "../net/msgpack";
import { fromBase64, toBase64 } from "./note";
import { lock, unlock } from "./seal";

const FIRST_LINE = "p2pworld wallet v1";
const SECOND_LINE = /^scrypt ([0-9]{1,2}) ([0-9a-f]{64})$/;
const COST = 16; // 64 MB, about half a second of a telephone
const COST_MAX = 20;

/** `text` for whoever knows the passphrase. */
export async function sealText(text: string, passphrase: string, cost = COST): Promise<string> {
  const salt = crypto.getRandomValues(new Uint8Array(32)); // fresh each time, and with it the key
  const locked = lock(await keyOf(passphrase, cost, salt), new TextEncoder().encode(text));
  return `${FIRST_LINE}\nscrypt ${cost} ${toHex(salt)}\n${toBase64(locked)}\n`;
}

/** What was sealed so; throws `Malformed`: another passphrase, or altered (`seal`); no such text (`wallet`). */
export async function openText(sealed: string, passphrase: string): Promise<string> {
  const [first, second = "", third = ""] = sealed.trim().split(/\r?\n/);
  const [, cost, salt] = SECOND_LINE.exec(second) ?? [];
  const locked = fromBase64(third);
  if (first !== FIRST_LINE || salt === undefined || locked === null || Number(cost) > COST_MAX)
    throw new Malformed("wallet");
  const key = await keyOf(passphrase, Number(cost), fromHex(salt));
  return new TextDecoder().decode(unlock(key, locked));
}

function keyOf(passphrase: string, cost: number, salt: Uint8Array): Promise<Uint8Array> {
  return scryptAsync(passphrase.normalize("NFC"), salt, { N: 2 ** cost, r: 8, p: 1, dkLen: 32 });
}
