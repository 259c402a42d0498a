/**
 * Acts on a case, letters with them, and erasure: what a citizen, or an official, does with a filing in the log.
 *
 * The bytes are those of p2pworld/services/case_log.py and p2pworld/civic/erasure.py. Whoever acts signs what it is
 * about (`actor`): a citizen with the key of the filing itself (`citizenOf`), an official with their own. The filing of
 * an act has a fresh key of its own, which makes a retry the same act. A letter is an act with text that only its
 * readers open: the office, and by the key of the case (`replyKey`) who filed it.
 */

import { join, toHex } from "../net/bytes";
import { type Signer, sha256, signerOfSeed } from "../net/keys";
import { canonical } from "../net/msgpack";
import { sealingPublic } from "./seal";
import { type Field, fileOpen, fileTransaction, type Secrets, type Submission } from "./transaction";

/** The name of the sealed field in which a filing tells for which key letters are to be sealed too. */
export const REPLY_KEY = "reply-key";

const TO_BYTES = new TextEncoder();
const ACT_NAME = TO_BYTES.encode("p2pworld case act v1\n");
const ERASURE_NAME = TO_BYTES.encode("p2pworld civic erasure v1\n");
const REPLY_NAME = TO_BYTES.encode("p2pworld case reply v1\n");

/** What is done: this action on entry `entry`, by who has seen `seen` acts before it. */
export interface CaseAct {
  readonly stream: string;
  readonly entry: number;
  readonly seen: number;
  readonly action: string;
  /** Days, stars or a place of the list of offices, where the action has one; else 0. */
  readonly amount: number;
}

/** The secret with which letters of the office are read, and the public key that goes into the filing. */
export interface ReplyKey {
  readonly secret: Uint8Array;
  readonly public: Uint8Array;
}

export function replyKey(secrets: Pick<Secrets, "seed">): ReplyKey {
  const secret = sha256(join(REPLY_NAME, secrets.seed));
  return { secret, public: sealingPublic(secret) };
}

/** Who acts as the citizen of the filing with these secrets. */
export function citizenOf(secrets: Pick<Secrets, "seed">): Signer {
  return signerOfSeed(secrets.seed);
}

/** The bytes that whoever acts signs; `key` is that of the act's own filing. */
export function actStatement(act: CaseAct, key: Uint8Array): Uint8Array {
  const { stream, entry, seen, action, amount } = act;
  return join(ACT_NAME, canonical({ stream, entry, seen, action, amount, key }));
}

/** The submission in which `actor` does this, without a word; `seed` is 32 random bytes, fresh for it. */
export async function fileAct(
  act: CaseAct,
  actor: Signer,
  minute: number,
  seed: Uint8Array,
): Promise<Submission> {
  const said = await actFields(act, actor, seed);
  return fileOpen({ type: "case-act", stream: act.stream, minute, public: said }, seed);
}

/** What a letter says: `text` and `language`, with a supplement also fields of the form. */
export interface Letter {
  readonly text: string;
  readonly language: string;
  readonly fields?: readonly Field[];
}

/** The submission in which `actor` does this and writes a letter to `readers` (sealing keys), signed by `identity`. */
export async function fileLetter(
  act: CaseAct,
  letter: Letter,
  actor: Signer,
  identity: Signer,
  readers: readonly Uint8Array[],
  minute: number,
  secrets: Secrets,
): Promise<Submission> {
  const { text, language, fields = [] } = letter;
  return fileTransaction({
    type: "case-letter",
    stream: act.stream,
    minute,
    public: await actFields(act, actor, secrets.seed),
    private: [{ name: "text", value: text }, { name: "language", value: language }, ...fields],
    identity,
    offices: readers,
    secrets,
  });
}

/** The submission that has what is sealed with entry `entry` destroyed; `asker` filed it, or is a desk. */
export async function fileErasure(
  stream: string,
  entry: number,
  asker: Signer,
  minute: number,
  seed: Uint8Array,
): Promise<Submission> {
  const { public: key } = signerOfSeed(seed);
  const asked = await asker.sign(join(ERASURE_NAME, canonical({ stream, index: entry, key })));
  const said = { index: String(entry), by: toHex(asker.public), asked: toHex(asked) };
  return fileOpen({ type: "erased", stream, minute, public: fieldsOf(said) }, seed);
}

async function actFields(act: CaseAct, actor: Signer, seed: Uint8Array): Promise<Field[]> {
  const { public: key } = signerOfSeed(seed);
  return fieldsOf({
    entry: String(act.entry),
    seen: String(act.seen),
    action: act.action,
    amount: String(act.amount),
    by: toHex(actor.public),
    asked: toHex(await actor.sign(actStatement(act, key))),
  });
}

/** A record as fields, in its order. */
export function fieldsOf(values: Readonly<Record<string, string>>): Field[] {
  return Object.entries(values).map(([name, value]) => ({ name, value }));
}
