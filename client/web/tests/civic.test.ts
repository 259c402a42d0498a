/** What is filed from a browser, byte for byte as the Python side files it from the same secrets; and what is opened. */

import assert from "node:assert/strict";
import { test } from "node:test";
import cases from "../../../tests/vectors/case.json";
import civic from "../../../tests/vectors/civic.json";
import supports from "../../../tests/vectors/support.json";
import { citizenOf, fileAct, fileErasure, fileLetter, replyKey } from "../src/civic/case";
import { lock, seal, sealingPublic, secretOfText, secretText, unlock, unseal } from "../src/civic/seal";
import { fileSupport, supportPurpose } from "../src/civic/support";
import {
  fileTransaction,
  leafBytes,
  newSecrets,
  openBlob,
  openSealed,
  parseLeaf,
  parseSubmission,
  type Secrets,
  type Submission,
  secretsOfText,
  secretsText,
  submissionBytes,
  verifyFiling,
  withPapers,
} from "../src/civic/transaction";
import { fromHex, toHex } from "../src/net/bytes";
import { signerOfSeed } from "../src/net/keys";
import { canonical, Malformed, unpack } from "../src/net/msgpack";

const [suggestion, erased] = civic as unknown as [
  {
    leaf: {
      epoch: number;
      filing: { stream: string; minute: number; public: { name: string; value: string }[] };
    };
    submission: string;
    hex: string;
    sealed: Record<"identity_seed" | "seed" | "blob_key" | "nonce" | "office" | "office_secret", string> & {
      private: Record<string, string>;
    };
  },
  { leaf: { epoch: number; filing: { minute: number } }; submission: string; hex: string },
];

function entriesOf(values: Record<string, string>): { name: string; value: string }[] {
  return Object.entries(values).map(([name, value]) => ({ name, value }));
}

function theSuggestion(): Promise<Submission> {
  const { leaf, sealed } = suggestion;
  return fileTransaction({
    type: "suggestion",
    stream: leaf.filing.stream,
    minute: leaf.filing.minute,
    public: leaf.filing.public,
    private: entriesOf(sealed.private),
    identity: signerOfSeed(fromHex(sealed.identity_seed)),
    offices: [fromHex(sealed.office)],
    secrets: { seed: fromHex(sealed.seed), blobKey: fromHex(sealed.blob_key), nonce: fromHex(sealed.nonce) },
  });
}

async function refusedAs(reason: string, body: () => unknown): Promise<void> {
  try {
    await body();
  } catch (error) {
    assert(error instanceof Malformed, String(error));
    assert.equal(error.reason, reason);
    return;
  }
  assert.fail(`this is not refused as ${reason}`);
}

test("a suggestion is the same bytes from the same secrets, and the same leaf", async () => {
  const filed = await theSuggestion();
  assert.equal(toHex(submissionBytes(filed)), suggestion.submission);
  assert.equal(toHex(leafBytes(filed, suggestion.leaf.epoch)), suggestion.hex);
  assert(await verifyFiling(filed.filing, filed.sig));
});

test("what was filed is read back as it was, and only in the one way to write it", async () => {
  for (const { submission, hex } of [suggestion, erased]) {
    const data = fromHex(submission);
    const read = parseSubmission(data);
    assert.equal(toHex(submissionBytes(read)), submission);
    const leaf = parseLeaf(fromHex(hex));
    assert.equal(toHex(leafBytes(leaf, leaf.epoch)), hex);
    const loose = Uint8Array.from([0xde, 0, (data[0] as number) & 15, ...data.slice(1)]);
    await refusedAs("submission-canonical", () => parseSubmission(loose));
    await refusedAs("field-missing", () =>
      parseSubmission(canonical({ ...(unpack(data) as object), more: 1 })),
    );
  }
});

test("papers are shown beside a filing, and do not change what it is", async () => {
  const filed = await theSuggestion();
  const shown = withPapers(filed, [{ kind: "files", data: new Uint8Array(32) }]);
  assert.deepEqual(parseSubmission(submissionBytes(shown)).papers, shown.papers);
  assert.equal(toHex(submissionBytes(withPapers(shown, []))), suggestion.submission);
  assert.throws(() => withPapers(filed, [{ kind: "files", data: new Uint8Array(4097) }]), RangeError);
});

test("the office opens it, and who filed it; nobody else, and nothing that was changed", async () => {
  const { filing, sealed } = await theSuggestion();
  assert(sealed);
  const office = fromHex(suggestion.sealed.office_secret);
  for (const read of [
    await openSealed(filing, sealed, office),
    await openBlob(filing, sealed, fromHex(suggestion.sealed.blob_key)),
  ]) {
    assert.deepEqual(read.fields, entriesOf(suggestion.sealed.private));
    assert.equal(toHex(read.identity), toHex(signerOfSeed(fromHex(suggestion.sealed.identity_seed)).public));
  }
  await refusedAs("seal", () => openSealed(filing, sealed, new Uint8Array(32).fill(7)));
  await refusedAs("seal", () => openBlob(filing, sealed, new Uint8Array(32)));
  await refusedAs("civic-sealed", () => openSealed(filing, { ...sealed, nonce: new Uint8Array(32) }, office));
  await refusedAs("civic-identity", () =>
    openSealed({ ...filing, minute: filing.minute + 1 }, sealed, office),
  );
});

test("an erasure is the same bytes", async () => {
  const { submission, leaf } = erased;
  const filed = await fileErasure(
    suggestion.leaf.filing.stream,
    0,
    signerOfSeed(fromHex(suggestion.sealed.seed)),
    leaf.filing.minute,
    Uint8Array.from({ length: 32 }, (_, i) => i + 5),
  );
  assert.equal(toHex(submissionBytes(filed)), submission);
});

interface Act {
  readonly name: string;
  readonly act: { stream: string; entry: number; seen: number; action: string; amount: number };
  readonly minute: number;
  readonly actor_seed: string;
  readonly secrets: string;
  readonly submission: string;
  readonly private?: { text: string; language: string } & Record<string, string>;
  readonly identity_seed?: string;
  readonly readers?: string[];
  readonly office_secret?: string;
}

const [key, ...acts] = cases as unknown as [
  { filed_seed: string; reply_secret: string; reply: string },
  ...Act[],
];

test("the key of a case comes from the filing's secrets", () => {
  const made = replyKey({ seed: fromHex(key.filed_seed) });
  assert.deepEqual([toHex(made.secret), toHex(made.public)], [key.reply_secret, key.reply]);
});

test("support of a proposal is the same bytes", async () => {
  for (const { stream, entry, purpose, person, minute, seed, submission } of supports) {
    const filed = await fileSupport(stream, entry, fromHex(person), minute, fromHex(seed));
    assert.equal(toHex(submissionBytes(filed)), submission);
    assert.equal(supportPurpose(stream, entry), purpose);
  }
});

test("acts and letters are the same bytes, and their readers open them", async () => {
  let letters = 0;
  for (const { name, act, minute, actor_seed, secrets: kept, submission, ...letter } of acts) {
    const secrets = secretsOfText(kept) as Secrets;
    const actor = signerOfSeed(fromHex(actor_seed));
    if (letter.private === undefined) {
      const filed = await fileAct(act, actor, minute, secrets.seed);
      assert.equal(toHex(submissionBytes(filed)), submission, name);
      continue;
    }
    const { text, language, ...more } = letter.private;
    const readers = (letter.readers ?? []).map(fromHex);
    const identity = signerOfSeed(fromHex(letter.identity_seed ?? ""));
    const said = { text, language, fields: entriesOf(more) };
    const filed = await fileLetter(act, said, actor, identity, readers, minute, secrets);
    assert.equal(toHex(submissionBytes(filed)), submission, name);
    assert(filed.sealed);
    const reply = fromHex(key.reply_secret);
    for (const secret of [fromHex(letter.office_secret ?? ""), ...(readers.length > 1 ? [reply] : [])]) {
      const read = await openSealed(filed.filing, filed.sealed, secret);
      assert.deepEqual(read.fields, entriesOf(letter.private));
      letters++;
    }
  }
  assert.equal(letters, 3);
  assert.equal(
    toHex(citizenOf({ seed: fromHex(key.filed_seed) }).public),
    toHex(signerOfSeed(fromHex(key.filed_seed)).public),
  );
});

test("secrets are new each time, and kept as text that the command line reads", () => {
  const made = newSecrets();
  assert.deepEqual(secretsOfText(secretsText(made)), made);
  assert(toHex(made.seed) !== toHex(newSecrets().seed));
  for (const text of ["", "seed 00", secretsText(made).replace("nonce", "once")])
    assert.equal(secretsOfText(text), null);
});

test("a sealed box opens for its key alone, a lock with its key alone", async () => {
  const secret = new Uint8Array(32).fill(3);
  const boxed = seal(sealingPublic(secret), Uint8Array.of(1, 2, 3));
  assert.equal(toHex(unseal(secret, boxed)), "010203");
  assert(toHex(boxed) !== toHex(seal(sealingPublic(secret), Uint8Array.of(1, 2, 3))));
  for (let at = 0; at < boxed.length; at++) {
    const bent = boxed.slice();
    bent[at] = (bent[at] as number) ^ 1;
    await refusedAs("seal", () => unseal(secret, bent));
  }
  await refusedAs("seal", () => unseal(secret, boxed.slice(0, 47)));
  await refusedAs("seal", () => unlock(secret, lock(new Uint8Array(32), Uint8Array.of(1))));
  assert.throws(() => seal(new Uint8Array(32), Uint8Array.of(1)), RangeError);
  assert.throws(() => seal(new Uint8Array(31), Uint8Array.of(1)), RangeError);
  assert.equal(toHex(secretOfText(secretText(secret)) ?? new Uint8Array()), toHex(secret));
  assert.equal(secretOfText(toHex(secret)), null);
});
