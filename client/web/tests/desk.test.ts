/** The desk without a page: keys read from their files, letters that office and citizen open, keys that pass a case on. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { listed } from "../src/civic/attachments";
import { replyKey } from "../src/civic/case";
import { sealingPublic, secretText } from "../src/civic/seal";
import { newSecrets, openBlob, openSealed, type Sealed, type Submission } from "../src/civic/transaction";
import { compose, type Written } from "../src/desk/acts";
import { type Held, readFiles, scopeOf, seedOfText } from "../src/desk/keys";
import { scopeWords } from "../src/desk/keys_view";
import { keysOf, keysText, type Opened } from "../src/desk/open";
import { fill } from "../src/desk/words";
import { toHex } from "../src/net/bytes";
import { readChain } from "../src/net/grants";
import { signerOfSeed } from "../src/net/keys";

const SEED = new Uint8Array(32).fill(1);
const PEM =
  "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB\n-----END PRIVATE KEY-----\n";
const GRANT =
  "h6Zpc3N1ZXLEIIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOUrG5vdF9hZnRlcl9tc88AAAOjUpRAAK1ub3RfYmVmb3JlX21zAKRyb2xlqG9mZmljaWFspXNjb3Blka5zdHJlYW1zOmpvbmdub6NzaWfEQJXS3YvlV-Q8AN6pvkaED8tWj-GVGpXQjQVJAvsr0dq3VKNJhwVnS_OethdGlWMVjHykaD3Bf0UF_PeOZmwW8gOnc3ViamVjdMQgiojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w";
const SECRET = new Uint8Array(32).fill(3);
const NOW = 1_800_000_000_000;
const ACT = { stream: "jongno", entry: 7, seen: 2, action: "complete", amount: 0 };

function seat(secret: Uint8Array | null = SECRET): Held {
  const chain = readChain(GRANT);
  if (chain === null) throw new Error("the grant of this test is none");
  return { signer: signerOfSeed(SEED), chain, grants: GRANT, secret };
}

async function fails(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return false;
  } catch {
    return true;
  }
}

function sealedOf({ sealed }: Submission): Sealed {
  if (sealed === undefined) throw new Error("nothing is sealed");
  return sealed;
}

/** What was written about a case that was opened. */
async function made(held: Held, opened: readonly Opened[], written: Written): Promise<Submission> {
  const submission = await compose(held, opened, written, NOW);
  if (typeof submission === "string") throw new Error(submission);
  return submission;
}

/** A filing as it was opened, whose citizen is answered under the key of `reply`. */
function filing(reply: string, key: Uint8Array | null = new Uint8Array(32).fill(9)): Opened {
  const fields = [{ name: "reply-key", value: reply }];
  return { entry: 7, private: { identity: SEED, fields, sig: SEED }, key, shut: null };
}

test("keys are read from the files that the command line makes", () => {
  assert.deepEqual(seedOfText(PEM), SEED);
  const read = readFiles(PEM, `# from the city\n\n${GRANT}\n`, secretText(SECRET), NOW);
  assert.deepEqual(read, { seed: SEED, grants: GRANT, secret: SECRET });
  assert.deepEqual(scopeOf(seat().chain), ["streams:jongno"]);
  const without = readFiles(PEM, GRANT, "", NOW);
  assert.equal(typeof without === "string" ? without : without.secret, null);
});

test("each file that is wrong is told apart", () => {
  const other = PEM.replaceAll("EBAQEB", "ICAgIC");
  const secret = secretText(SECRET);
  assert.equal(readFiles(secret, GRANT, secret, NOW), "key_wrong");
  assert.equal(readFiles(PEM.replace("MC4C", "MC4D"), GRANT, secret, NOW), "key_wrong");
  assert.equal(readFiles(PEM, PEM, secret, NOW), "grant_wrong");
  assert.equal(readFiles(other, GRANT, secret, NOW), "grant_other");
  assert.equal(readFiles(PEM, GRANT, secret, 4_000_000_000_000), "grant_over");
  assert.equal(readFiles(PEM, GRANT, PEM, NOW), "secret_wrong");
});

test("an act without words shows the grants, and seals nothing", async () => {
  const act = await made(seat(), [], { act: ACT, text: "", language: "ko", to: [] });
  assert.equal(act.filing.type, "case-act");
  assert.equal(act.sealed, undefined);
  const papers = act.papers?.map((paper) => [paper.kind, new TextDecoder().decode(paper.data)]);
  assert.deepEqual(papers, [["grants", GRANT]]);
});

test("a letter is opened by the office and by who filed, and by nobody else", async () => {
  const secrets = newSecrets();
  const reply = replyKey(secrets);
  const written = { act: ACT, text: "메웠어요.", language: "ko", to: [] };
  const letter = await made(seat(), [filing(toHex(reply.public))], written);
  for (const secret of [SECRET, reply.secret]) {
    const opened = await openSealed(letter.filing, sealedOf(letter), secret);
    assert.equal(opened.fields[0]?.value, "메웠어요.");
    assert.deepEqual(opened.identity, signerOfSeed(SEED).public);
  }
  const stranger = new Uint8Array(32).fill(5);
  assert.equal(await fails(() => openSealed(letter.filing, sealedOf(letter), stranger)), true);
  assert.equal(await compose(seat(null), [filing("")], written, NOW), "keys_first");
});

test("who passes a case on passes on the keys of all that was opened, or it is not passed on", async () => {
  const other = new Uint8Array(32).fill(6);
  const written = {
    act: { ...ACT, action: "transfer" },
    text: "",
    language: "ko",
    to: [sealingPublic(other)],
  };
  const letter = await made(seat(), [filing("")], written);
  const opened = await openSealed(letter.filing, sealedOf(letter), other);
  const keys = keysOf(opened.fields.find((field) => field.name === "keys")?.value ?? "");
  assert.deepEqual([...keys], [[7, new Uint8Array(32).fill(9)]]);
  assert.equal(await compose(seat(), [filing("", null)], written, NOW), "shut_key");
});

test("a key that was passed on opens what it is of", async () => {
  const letter = await made(seat(), [filing("")], { act: ACT, text: "네", language: "ko", to: [] });
  const own = await openSealed(letter.filing, sealedOf(letter), SECRET);
  assert.equal(own.fields.length, 2);
  assert.equal(await fails(() => openBlob(letter.filing, sealedOf(letter), new Uint8Array(32))), true);
});

test("keys in a letter are read line by line, and what is none does not count", () => {
  const key = "ab".repeat(32);
  assert.deepEqual([...keysOf(`3 ${key}\n07 ${key}\n4 xyz\n\n12 ${key}`).keys()], [3, 12]);
  assert.equal(keysText([filing("", null), filing("")]), `7 ${"09".repeat(32)}`);
});

test("facts are put where they belong, once", () => {
  assert.equal(fill("{name}: {number}", { name: "{number}", number: "1" }), "{number}: 1");
  assert.equal(fill("{constructor}", {}), "{constructor}");
  assert.deepEqual(listed('["a","b"]'), ["a", "b"]);
  assert.deepEqual(listed("[note"), ["[note"]);
});

test("a grant is said in the names of offices", () => {
  const page = { words: { all_offices: "모든 기관" }, offices: { jongno: "종로구" } };
  assert.equal(scopeWords(page, ["streams:jongno"]), "종로구");
  assert.equal(scopeWords(page, ["cells:*", "streams:*"]), "모든 기관");
});
