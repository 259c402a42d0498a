/** Roots, devices and claims: the same words, lines and papers as on the Python side. */

import assert from "node:assert/strict";
import { test } from "node:test";
import identities from "../../../tests/vectors/identity.json";
import people from "../../../tests/vectors/people.json";
import { claimBytes, claimKey, fits, parseClaim, purposeOf, showClaim } from "../src/civic/claims";
import {
  entropyOf,
  parseDevice,
  parseLost,
  rootOf,
  signDevice,
  signLost,
  wordsOf,
} from "../src/civic/identity";
import { type Filing, filingStatement } from "../src/civic/transaction";
import { fromHex, toHex } from "../src/net/bytes";
import { signerOfSeed } from "../src/net/keys";
import { Malformed, unpack } from "../src/net/msgpack";

async function reasonOf(body: () => Promise<unknown>): Promise<string> {
  try {
    await body();
  } catch (error) {
    assert(error instanceof Malformed, String(error));
    return error.reason;
  }
  return "";
}

test("a root is nine words, and comes back from them", () => {
  for (const { entropy, words, root } of identities) {
    assert.equal(wordsOf(fromHex(entropy)), words);
    assert.equal(toHex(rootOf(fromHex(entropy)).public), root);
    const back = entropyOf(` ${words.toUpperCase().replaceAll(" ", ", ")}\n`);
    assert(back instanceof Uint8Array);
    assert.equal(toHex(back), entropy);
  }
  const words = identities[2]?.words.split(" ") as string[];
  assert.deepEqual(entropyOf(words.slice(1).join(" ")), { kind: "count", count: 8 });
  assert.deepEqual(entropyOf(words.with(3, "hello").join(" ")), { kind: "word", place: 4 });
  assert.deepEqual(entropyOf([words[1], words[0], ...words.slice(2)].join(" ")), { kind: "checksum" });
});

test("the root's word for a device, and that it is lost, are the same lines", async () => {
  for (const { root_seed, device, label, minute, device_text, lost_minute, lost_text } of identities) {
    const root = signerOfSeed(fromHex(root_seed));
    assert.equal(await signDevice(root, fromHex(device), label, minute), device_text);
    assert.equal(await signLost(root, fromHex(device), lost_minute), lost_text);
    const read = await parseDevice(` ${device_text}\n`);
    assert.deepEqual(
      [toHex(read.root), toHex(read.device), read.label, read.minute],
      [toHex(root.public), device, label, minute],
    );
    assert.equal((await parseLost(lost_text)).minute, lost_minute);
    assert.equal(await reasonOf(() => parseDevice(lost_text)), "device-text");
    assert.equal(await reasonOf(() => parseLost(device_text)), "device-text");
    assert.equal(await reasonOf(() => parseDevice("?")), "device-text");
    const forged = `${device_text.slice(0, 190)}${device_text[190] === "A" ? "B" : "A"}${device_text.slice(191)}`;
    assert((await reasonOf(() => parseDevice(forged))) !== "");
  }
});

interface Told {
  readonly service: string;
  readonly values: Record<string, string>;
  readonly purpose: string;
  readonly device_seed: string;
  readonly hex: string;
  readonly statement: string;
  readonly paper: string;
}

const ALLOCATION: Record<string, string | null> = { "reserve-sports": "first", "reserve-draw": "lottery" };

test("a claim is for a purpose, and is shown beside one filing", async () => {
  const shown = (people as unknown as Told[]).filter(({ paper }) => paper !== undefined);
  assert.equal(shown.length, 3);
  for (const { service, values, purpose, device_seed, hex, statement, paper } of shown) {
    const seed = fromHex(device_seed);
    assert.equal(purposeOf({ id: service, allocation: ALLOCATION[service] ?? null }, values), purpose);
    const claim = await parseClaim(fromHex(hex));
    assert.equal(toHex(claimBytes(claim)), hex);
    assert(fits(claim, purpose, seed, claim.until - 1));
    assert(!fits(claim, purpose, seed, claim.until));
    assert(!fits(claim, "other", seed, 0));
    assert(!fits(claim, purpose, new Uint8Array(32), 0));
    const filing = unpack(fromHex(statement).slice("p2pworld civic filing v1\n".length)) as unknown as Filing;
    const whole = { ...filing, public: filing.public ?? [] };
    assert.equal(toHex(filingStatement(whole)), statement);
    assert.equal(toHex((await showClaim(claim, seed, whole)).data), paper);
    const forged = fromHex(hex);
    forged[forged.length - 8] = (forged[forged.length - 8] as number) ^ 1;
    assert((await reasonOf(() => parseClaim(forged))) !== "");
  }
  assert(toHex(claimKey(new Uint8Array(32), "a").public) !== toHex(claimKey(new Uint8Array(32), "b").public));
});
