/**
 * Asking an attestor, which says for a purpose that this device is one person's: the bytes of
 * p2pworld/services/attesting.py.
 *
 * A device is registered once, with a code that comes back from a login (`beginLogin`, then `codeIn` on the page that
 * one returns to) or that an official reads aloud. From then on it asks for claims by its own signature (`askClaims`),
 * each believed only if it is the attestor's, for that purpose, and on the key that this device has for it. What is
 * refused throws `NotTold`.
 */

import { fromHex, join, same, toHex } from "../net/bytes";
import { type Signer, sha256 } from "../net/keys";
import { canonical, type Fields, Malformed } from "../net/msgpack";
import { fieldsOf, told } from "./answers";
import { claimKey, parseClaim } from "./claims";
import type { Words } from "./form";
import { toBase64 } from "./note";

const ANSWER_BYTES_MAX = 65_536;
const SPOKEN_MAX = 12;
const TO_BYTES = new TextEncoder();

export interface Attestor {
  readonly url: string;
  readonly key: Uint8Array;
  readonly name: Words;
  /** `login`, `desk`, or both. */
  readonly ways: readonly string[];
  /** Whether it says in which gu somebody lives. */
  readonly gu: boolean;
}

/** Who asks: a device, its seed for the keys of claims, and the root's word for it. */
export interface Asker {
  readonly device: Signer;
  readonly seed: Uint8Array;
  readonly line: string;
}

type Fetch = typeof fetch;

/** The attestor that answers there. */
export async function findAttestor(url: string, fetched: Fetch = fetch): Promise<Attestor> {
  const base = url.replace(/\/+$/, "");
  const said = await ask(fetched, `${base}/attestor`);
  const { key, name, ways, gu } = said;
  if (typeof key !== "string" || !/^[0-9a-f]{64}$/.test(key) || !Array.isArray(ways))
    throw new Malformed("attestor");
  return { url: base, key: fromHex(key), name: (name ?? {}) as Words, ways, gu: gu === true };
}

/** Where to log in, and what is to be kept until one is back at the page `back`, to be shown with the code. */
export async function beginLogin(
  attestor: Attestor,
  { device }: Pick<Asker, "device">,
  back: string,
  fetched: Fetch = fetch,
): Promise<{ readonly url: string; readonly verifier: string }> {
  const verifier = toHex(crypto.getRandomValues(new Uint8Array(32)));
  const challenge = base64Url(sha256(TO_BYTES.encode(verifier)));
  const asked = { device: toHex(device.public), return: back, challenge };
  const { url } = await ask(fetched, `${attestor.url}/begin`, asked);
  if (typeof url !== "string" || !/^https?:\/\//.test(url)) throw new Malformed("attestor");
  return { url, verifier };
}

/** What the address of the page that one returned to says: a code, a reason why there is none, or nothing. */
export function codeIn(hash: string): { readonly kind: "code" | "error"; readonly value: string } | null {
  const [, kind, value] = /^#attestor-(code|error)=([A-Za-z0-9._~-]{1,128})$/.exec(hash) ?? [];
  return value === undefined ? null : { kind: kind as "code" | "error", value };
}

/** Registers this device with a code; `verifier` is empty where an official gave it. Until which minute it is known. */
export async function register(
  attestor: Attestor,
  asker: Asker,
  code: string,
  verifier: string,
  minute: number,
  fetched: Fetch = fetch,
): Promise<{ readonly until: number; readonly gu: string }> {
  const device = asker.device.public;
  const sig = await sign(asker.device, "device", {
    attestor: attestor.key,
    code: neatCode(code),
    device,
    minute,
  });
  const { until, gu } = await ask(fetched, `${attestor.url}/device`, {
    code,
    device: toHex(device),
    certificate: asker.line,
    minute,
    sig,
    ...(verifier && { verifier }),
  });
  return { until: Number(until), gu: typeof gu === "string" ? gu : "" };
}

/** A claim for each purpose, to be kept (`Wallet.keepClaim`). */
export async function askClaims(
  attestor: Attestor,
  asker: Asker,
  purposes: readonly string[],
  minute: number,
  fetched: Fetch = fetch,
): Promise<Uint8Array[]> {
  const device = asker.device.public;
  const keys = purposes.map((purpose) => ({ purpose, key: claimKey(asker.seed, purpose) }));
  const said = keys.map(({ purpose, key }) => ({ key: key.public, purpose }));
  const wants = await Promise.all(
    keys.map(async ({ purpose, key }) => ({
      purpose,
      key: toHex(key.public),
      sig: await sign(key, "key", { attestor: attestor.key, device, purpose }),
    })),
  );
  const sig = await sign(asker.device, "claims", { attestor: attestor.key, device, minute, wants: said });
  const { claims } = await ask(fetched, `${attestor.url}/claims`, {
    device: toHex(device),
    minute,
    wants,
    sig,
  });
  if (!Array.isArray(claims) || claims.length !== purposes.length) throw new Malformed("attestor");
  return Promise.all(
    said.map(async ({ key, purpose }, i) => {
      const data = fromHex(String(claims[i]));
      const claim = await parseClaim(data);
      if (!same(claim.attestor, attestor.key) || claim.purpose !== purpose || !same(claim.key, key))
        throw new Malformed("attestor");
      return data;
    }),
  );
}

/** One device of a person's, as the attestor knows it: from and until which minute. */
export interface Known {
  readonly device: string;
  readonly since: number;
  readonly until: number;
  readonly lost: boolean;
  readonly this: boolean;
}

export async function devicesOf(
  attestor: Attestor,
  { device }: Pick<Asker, "device">,
  minute: number,
  fetched: Fetch = fetch,
): Promise<Known[]> {
  const sig = await sign(device, "devices", { attestor: attestor.key, device: device.public, minute });
  const { devices } = await ask(fetched, `${attestor.url}/devices`, {
    device: toHex(device.public),
    minute,
    sig,
  });
  if (!Array.isArray(devices)) throw new Malformed("attestor");
  return devices as Known[];
}

/** Says that another device of the same person is lost: its claims are believed no more. */
export async function reportLost(
  attestor: Attestor,
  { device }: Pick<Asker, "device">,
  lost: Uint8Array,
  minute: number,
  fetched: Fetch = fetch,
): Promise<void> {
  const sig = await sign(device, "lost", { attestor: attestor.key, device: device.public, lost, minute });
  const asked = { device: toHex(device.public), lost: toHex(lost), minute, sig };
  await ask(fetched, `${attestor.url}/lost`, asked);
}

/** Says so by the root's word (`Wallet.lose`), where no device of the person's is left. */
export async function reportLostByRoot(
  attestor: Attestor,
  line: string,
  fetched: Fetch = fetch,
): Promise<void> {
  await ask(fetched, `${attestor.url}/lost`, { statement: line });
}

/** A code as it is compared: one that was read aloud in capitals, with nothing between them. */
function neatCode(code: string): string {
  const short = code.replace(/[\s-]/g, "");
  return short.length <= SPOKEN_MAX ? short.toUpperCase() : code;
}

async function sign(by: Signer, name: string, said: Fields): Promise<string> {
  return toHex(await by.sign(join(TO_BYTES.encode(`p2pworld attestor ${name} v1\n`), canonical(said))));
}

async function ask(fetched: Fetch, url: string, said?: object): Promise<Readonly<Record<string, unknown>>> {
  const post = said && { method: "POST", body: JSON.stringify(said) };
  const answer = await fetched(url, { ...post, credentials: "omit", cache: "no-store" });
  return fieldsOf(await told(answer, ANSWER_BYTES_MAX));
}

function base64Url(data: Uint8Array): string {
  return toBase64(data).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}
