/**
 * Support of a proposal, which everybody gives once: a leaf with the pseudonym that an attestor has given the person for
 * just this. The bytes are those of p2pworld/services/support.py.
 */

import { toHex } from "../net/bytes";
import { fileOpen, type Submission } from "./transaction";

/** What a claim is for that is shown to support this entry of a stream. */
export function supportPurpose(stream: string, entry: number): string {
  return `support/${stream}/${entry}`;
}

/** The submission by which `person` supports an entry; `seed` is 32 random bytes, fresh for it. */
export function fileSupport(
  stream: string,
  entry: number,
  person: Uint8Array,
  minute: number,
  seed: Uint8Array,
): Promise<Submission> {
  const said = [
    { name: "entry", value: String(entry) },
    { name: "person", value: toHex(person) },
  ];
  return fileOpen({ type: "case-support", stream, minute, public: said }, seed);
}
