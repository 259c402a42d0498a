/**
 * Claims of attestors, on the citizen's side: which one a filing needs, and how it is shown beside it; byte for byte as
 * p2pworld/services/people.py.
 *
 * A claim is given to a key that this device derives for one purpose (`claimKey`), and is shown with that key's
 * signature over the very filing, as a paper that only the log's holder sees.
 */

import { join, same } from "../net/bytes";
import { type Signer, sha256, signerOfSeed, verify } from "../net/keys";
import { canonical, Malformed, unpack } from "../net/msgpack";
import type { Service, Values } from "./form";
import { bytes, map, text, whole } from "./plain";
import { type Filing, filingStatement, type Paper } from "./transaction";

const VERSION = 1;
const BYTES_MAX = 512;
const TO_BYTES = new TextEncoder();
const CLAIM_NAME = TO_BYTES.encode("p2pworld claim v1\n");
const USE_NAME = TO_BYTES.encode("p2pworld claim use v1\n");
const KEY_NAME = TO_BYTES.encode("p2pworld claim key v1\n");

/** `attestor` says: whoever has `key` is the person `person` where it is about `purpose`, until that minute. */
export interface Claim {
  readonly v: number;
  readonly attestor: Uint8Array;
  readonly purpose: string;
  readonly person: Uint8Array;
  readonly key: Uint8Array;
  /** Where they live, or empty. */
  readonly gu: string;
  readonly until: number;
  readonly sig: Uint8Array;
}

/** What a claim beside a filing of this service with these values must be for; one for `booking` serves all places. */
export function purposeOf(service: Pick<Service, "id" | "allocation">, kept: Values): string {
  if (service.allocation === null) return service.id;
  if (service.allocation !== "lottery") return "booking";
  return `draw/${kept.facility ?? ""}/${kept.slot ?? ""}`;
}

/** The key that the device with this seed has for a purpose; a claim is asked for this one. */
export function claimKey(deviceSeed: Uint8Array, purpose: string): Signer {
  return signerOfSeed(sha256(join(KEY_NAME, deviceSeed, TO_BYTES.encode(purpose))));
}

/** The claim in these bytes, signed by the attestor that it names; throws `Malformed` with the node's reason. */
export async function parseClaim(data: Uint8Array): Promise<Claim> {
  if (data.length > BYTES_MAX) throw new Malformed("claim-size");
  const said = map(unpack(data), ["v", "attestor", "purpose", "person", "key", "gu", "until", "sig"]);
  const claim = {
    v: whole(said.v),
    attestor: bytes(said.attestor, 32),
    purpose: text(said.purpose, 1, 80),
    person: bytes(said.person, 32),
    key: bytes(said.key, 32),
    gu: text(said.gu, 0, 20),
    until: whole(said.until, 2 ** 32 - 1),
    sig: bytes(said.sig, 64),
  };
  if (claim.v !== VERSION) throw new Malformed("claim-broken");
  if (!same(claimBytes(claim), data)) throw new Malformed("claim-canonical");
  const statement = join(CLAIM_NAME, claimBytes({ ...claim, sig: new Uint8Array(64) }));
  if (!(await verify(claim.attestor, statement, claim.sig))) throw new Malformed("claim-signature");
  return claim;
}

/** The claim as it is given and kept. */
export function claimBytes(claim: Claim): Uint8Array {
  return canonical({ ...claim });
}

/** Whether this claim may be shown by this device for this purpose now. */
export function fits(claim: Claim, purpose: string, deviceSeed: Uint8Array, minute: number): boolean {
  const mine = claimKey(deviceSeed, purpose).public;
  return claim.purpose === purpose && minute < claim.until && same(claim.key, mine);
}

/** The claim as it is shown beside this filing. */
export async function showClaim(claim: Claim, deviceSeed: Uint8Array, filing: Filing): Promise<Paper> {
  const holder = claimKey(deviceSeed, claim.purpose);
  if (!same(holder.public, claim.key)) throw new RangeError("this claim was given to another key");
  const proof = await holder.sign(join(USE_NAME, filingStatement(filing)));
  return { kind: "claim", data: canonical({ claim: { ...claim }, proof }) };
}
