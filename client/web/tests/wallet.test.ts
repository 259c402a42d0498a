/** What a browser keeps of a citizen: nothing is lost between writing, sending and settling, nor on the way elsewhere. */

import assert from "node:assert/strict";
import { test } from "node:test";
import forms from "../../../tests/vectors/form.json";
import people from "../../../tests/vectors/people.json";
import wallets from "../../../tests/vectors/wallet.json";
import { replyKey } from "../src/civic/case";
import type { Accepted, Outcome } from "../src/civic/filer";
import { checkForm, type Service, type Values } from "../src/civic/form";
import { entropyOf, parseDevice, parseLost } from "../src/civic/identity";
import { openText, sealText } from "../src/civic/passphrase";
import type { Trust } from "../src/civic/receipt";
import { attachmentsOf, prepare } from "../src/civic/request";
import { sealingPublic } from "../src/civic/seal";
import { memoryStore } from "../src/civic/store";
import {
  newSecrets,
  openSealed,
  type Submission,
  submissionBytes,
  verifyFiling,
} from "../src/civic/transaction";
import { Wallet } from "../src/civic/wallet";
import { fromHex, toHex } from "../src/net/bytes";
import { Malformed } from "../src/net/msgpack";

const MINUTE = 29_400_000;
const OFFICE = new Uint8Array(32).fill(9);
const TRUST: Trust = {
  streams: ["jongno"],
  offices: (stream) => (stream === "jongno" ? [sealingPublic(OFFICE)] : []),
  policy: () => {
    throw new Malformed("checkpoint-origin");
  },
};
const { service, good } = forms.find(({ name }) => name === "fire-hazard-report") as unknown as {
  service: Service;
  good: Values;
};

async function refusedAs(reason: string, body: () => Promise<unknown>): Promise<void> {
  try {
    await body();
  } catch (error) {
    assert(error instanceof Malformed, String(error));
    assert.equal(error.reason, reason);
    return;
  }
  assert.fail(`this is not refused as ${reason}`);
}

async function filed(wallet: Wallet): Promise<Submission> {
  const me = await wallet.me(MINUTE);
  const { kept } = checkForm(service.form, good, () => "jongno");
  return prepare({
    service,
    kept,
    stream: "jongno",
    minute: MINUTE,
    me,
    trust: TRUST,
    secrets: newSecrets(),
  });
}

function accepted(index: number): Outcome {
  return { kind: "accepted", index, receipt: Uint8Array.of(index), url: "" } as Accepted;
}

test("a person is made once, in nine words, and signs for this device", async () => {
  const wallet = new Wallet(memoryStore());
  const [me, same] = await Promise.all([wallet.me(MINUTE, "노트북"), wallet.me(MINUTE)]);
  assert.deepEqual([toHex(me.root), me.line], [toHex(same.root), same.line]);
  const device = await parseDevice(me.line);
  assert.deepEqual(
    [toHex(device.root), toHex(device.device), device.label],
    [toHex(me.root), toHex(me.device.public), "노트북"],
  );
  await wallet.forgetRoot();
  assert.equal((await wallet.me(MINUTE)).words, null);
  assert.equal(await wallet.lose(me.device.public, MINUTE), null);
});

test("nine words make another browser a device of the same person, which can call the first one lost", async () => {
  const first = await new Wallet(memoryStore()).me(MINUTE);
  const wallet = new Wallet(memoryStore());
  const own = await wallet.me(MINUTE);
  const entropy = entropyOf(first.words ?? "");
  assert(entropy instanceof Uint8Array);
  const me = await wallet.recover(entropy, MINUTE + 1, "전화기");
  assert.equal(toHex(me.root), toHex(first.root));
  assert(toHex(me.device.public) !== toHex(first.device.public));
  assert(toHex(me.device.public) !== toHex(own.device.public));
  const line = await wallet.lose(first.device.public, MINUTE + 2);
  assert.equal(toHex((await parseLost(line ?? "")).device), toHex(first.device.public));
  assert.deepEqual((await wallet.me(MINUTE)).lost, [line]);
  const again = await wallet.recover(entropy, MINUTE + 3, "");
  assert.deepEqual([again.devices.length, again.lost.length], [2, 1]);
});

test("a request is public, sealed for the office and its own case, and signed by this device", async () => {
  const wallet = new Wallet(memoryStore());
  const me = await wallet.me(MINUTE);
  const { kept } = checkForm(service.form, good, () => "jongno");
  const secrets = newSecrets();
  const asked = { service, kept, stream: "jongno", minute: MINUTE, me, trust: TRUST, secrets };
  const submission = await prepare(asked);
  assert.equal(toHex(submissionBytes(await prepare(asked))), toHex(submissionBytes(submission)));
  assert(await verifyFiling(submission.filing, submission.sig));
  assert.deepEqual(
    submission.filing.public.map(({ name }) => name),
    service.public,
  );
  const files = attachmentsOf(service, kept, secrets);
  assert.equal(files.length, 1);
  assert.deepEqual(
    submission.papers?.map(({ kind }) => kind),
    ["files"],
  );
  assert(submission.sealed);
  const read = await openSealed(submission.filing, submission.sealed, OFFICE);
  assert.equal(toHex(read.identity), toHex(me.device.public));
  const said = Object.fromEntries(read.fields.map(({ name, value }) => [name, value]));
  assert.equal(said["reply-key"], toHex(replyKey(secrets).public));
  assert.equal(toHex((await parseDevice(said["device-proof"] ?? "")).root), toHex(me.root));
  assert.equal(said.phone, kept.phone);
  try {
    await prepare({ ...asked, stream: "mapo" });
  } catch (error) {
    assert(error instanceof RangeError);
    return;
  }
  assert.fail("sealed for nobody");
});

test("a request is kept before it is sent, and until it is known what became of it", async () => {
  const wallet = new Wallet(memoryStore());
  const submissions = [await filed(wallet), await filed(wallet), await filed(wallet)];
  const ids: string[] = [];
  for (const submission of submissions)
    ids.push((await wallet.begin(submission, newSecrets(), { service: service.id })).id);
  const [first, second, third] = ids as [string, string, string];
  await wallet.settle(first, accepted(7));
  await wallet.settle(second, { kind: "refused", reason: "civic-field", said: { ko: "", en: "" }, urls: [] });
  await wallet.settle(third, { kind: "unknown" });
  assert.deepEqual(
    (await wallet.unsettled()).map(({ id }) => id),
    [third],
  );
  assert.equal((await wallet.at("jongno", 7))?.id, first);
  assert.equal((await wallet.request(second))?.reason, "civic-field");
  const kept = await wallet.request(third);
  assert.equal(
    toHex(kept?.submission ?? new Uint8Array()),
    toHex(submissionBytes(submissions[2] as Submission)),
  );
  await wallet.settle(first, { kind: "refused", reason: "civic-replay", said: { ko: "", en: "" }, urls: [] });
  assert.deepEqual(
    [(await wallet.request(first))?.standing, (await wallet.request(first))?.entry],
    ["accepted", 7],
  );
  const act = await wallet.begin(await filed(wallet), newSecrets(), { service: "withdraw", about: first });
  assert.deepEqual(
    (await wallet.acts(first)).map(({ id }) => id),
    [act.id],
  );
  assert.equal((await wallet.requests()).length, 3);
  await wallet.forget(first);
  assert.equal((await wallet.requests()).length, 2);
});

test("a draft is kept with its files until it is dropped", async () => {
  const wallet = new Wallet(memoryStore());
  const files = { photos: [new File([Uint8Array.of(1, 2)], "길.png")] };
  await wallet.keepDraft({
    service: "a",
    values: { text: "글" },
    files,
    secrets: null,
    request: null,
    savedMs: 1,
  });
  await wallet.keepDraft({
    service: "b",
    values: {},
    files: {},
    secrets: newSecrets(),
    request: null,
    savedMs: 2,
  });
  assert.deepEqual(
    (await wallet.drafts()).map(({ service: of }) => of),
    ["b", "a"],
  );
  assert.equal((await wallet.draft("a"))?.files.photos?.[0]?.name, "길.png");
  await wallet.dropDraft("a");
  assert.equal(await wallet.draft("a"), undefined);
});

test("what one browser exports another takes, with the passphrase alone, and keeps what it had", async () => {
  const here = new Wallet(memoryStore());
  const me = await here.me(MINUTE, "여기");
  const kept = await here.begin(await filed(here), newSecrets(), {
    service: service.id,
    files: [{ hash: "ab".repeat(32), name: "길.png" }],
  });
  await here.settle(kept.id, accepted(3));
  await here.keepDraft({
    service: "a",
    values: { text: "글", people: [3] },
    files: {},
    secrets: newSecrets(),
    request: "ab",
    savedMs: 1,
  });
  const text = await here.exported("정말 긴 암호", 4);
  assert(!text.includes(toHex(kept.secrets.seed)));

  const there = new Wallet(memoryStore());
  await there.begin(await filed(there), newSecrets(), { service: service.id });
  await refusedAs("seal", () => there.take(text, "다른 암호", MINUTE, ""));
  await refusedAs("wallet", () => there.take("p2pworld wallet v2\n", "정말 긴 암호", MINUTE, ""));
  await refusedAs("wallet", () =>
    there.take(text.replace("scrypt 4", "scrypt 40"), "정말 긴 암호", MINUTE, ""),
  );
  assert.equal(await there.take(text, "정말 긴 암호".normalize("NFD"), MINUTE, "저기"), 1);
  assert.equal(await there.take(text, "정말 긴 암호", MINUTE, "저기"), 0);
  assert.deepEqual(await there.request(kept.id), await here.request(kept.id));
  assert.deepEqual(await there.draft("a"), await here.draft("a"));
  assert.equal((await there.requests()).length, 2);
  const now = await there.me(MINUTE);
  assert.equal(toHex(now.root), toHex(me.root));
  assert(toHex(now.device.public) !== toHex(me.device.public));
  assert(now.devices.includes(me.line));
});

test("a sealed text is different each time", async () => {
  const [one, two] = [await sealText("글", "a", 2), await sealText("글", "a", 2)];
  assert(one !== two);
  assert.deepEqual([await openText(one, "a"), await openText(two, "a")], ["글", "글"]);
});

test("a claim is kept for this device alone, and shown while it counts", async () => {
  const { hex, device_seed, purpose, claim } = people[0] as unknown as Record<string, string> & {
    claim: { until: number };
  };
  const store = memoryStore();
  const wallet = new Wallet(store);
  await wallet.me(MINUTE);
  await wallet.keepClaim(fromHex(hex as string));
  assert.equal(await wallet.claim(purpose as string, MINUTE), null);
  const person = await store.get<object>("person", "me");
  await store.put("person", "me", { ...person, seed: fromHex(device_seed as string) });
  assert.equal((await wallet.claim(purpose as string, MINUTE))?.until, claim.until);
  assert.equal(await wallet.claim(purpose as string, claim.until), null);
  assert.equal(await wallet.claim("other", MINUTE), null);
});

test("a wallet that was exported on a command line is taken", async () => {
  const [exported] = wallets;
  assert(exported);
  const wallet = new Wallet(memoryStore());
  assert.equal(await wallet.take(exported.exported, exported.passphrase, MINUTE, "여기"), 1);
  const me = await wallet.me(MINUTE);
  assert.equal(toHex(me.root), exported.root);
  assert.equal(me.devices.length, 3);
  assert.equal(me.lost.length, 1);
  const request = await wallet.request(exported.request);
  assert.deepEqual([request?.standing, request?.entry, request?.files[0]?.name], ["accepted", 7, "길.png"]);
});
