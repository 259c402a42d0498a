/** What a device signs to an attestor, as the Python side signs it; what comes back is believed only if it is its own. */

import assert from "node:assert/strict";
import { test } from "node:test";
import attesting from "../../../tests/vectors/attesting.json";
import people from "../../../tests/vectors/people.json";
import { NotTold } from "../src/civic/answers";
import {
  type Attestor,
  askClaims,
  beginLogin,
  codeIn,
  devicesOf,
  findAttestor,
  register,
  reportLost,
  reportLostByRoot,
} from "../src/civic/attestor";
import { fromHex, toHex } from "../src/net/bytes";
import { sha256, signerOfSeed } from "../src/net/keys";
import { Malformed } from "../src/net/msgpack";

const { minute: MINUTE } = attesting[0] as (typeof attesting)[0];
const claims = people.slice(0, 3) as unknown as {
  purpose: string;
  device_seed: string;
  hex: string;
  claim: { attestor: string; key: string };
}[];
const seed = fromHex(claims[0]?.device_seed ?? "");
const asker = { device: signerOfSeed(seed), seed, line: "line" };
const device = toHex(asker.device.public);
const key = claims[0]?.claim.attestor ?? "";
const attestor: Attestor = { url: "https://a", key: fromHex(key), name: {}, ways: [], gu: false };

const [SIGNED] = attesting as [(typeof attesting)[0]];

interface Heard {
  url: string;
  said: Record<string, unknown>;
}

function answers(told: object, heard: Heard[] = [], status = 200): typeof fetch {
  return (url, init) => {
    heard.push({ url: String(url), said: init?.body ? JSON.parse(String(init.body)) : {} });
    return Promise.resolve(new Response(JSON.stringify(told), { status }));
  };
}

async function isNoAttestor(body: () => Promise<unknown>): Promise<void> {
  try {
    await body();
  } catch (error) {
    assert(error instanceof Malformed, String(error));
    return;
  }
  assert.fail("this was believed");
}

test("an attestor tells who it is", async () => {
  const heard: Heard[] = [];
  const told = { v: 1, key, name: { ko: "가" }, ways: ["login"], gu: true };
  const found = await findAttestor("https://a/", answers(told, heard));
  assert.deepEqual(found, {
    url: "https://a",
    key: fromHex(key),
    name: { ko: "가" },
    ways: ["login"],
    gu: true,
  });
  assert.equal(heard[0]?.url, "https://a/attestor");
  await isNoAttestor(() => findAttestor("https://a", answers({ key: "no", ways: [] })));
});

test("a login begins with what only this page can show, and ends with a code in the address", async () => {
  const heard: Heard[] = [];
  const { url, verifier } = await beginLogin(
    attestor,
    asker,
    "https://page/ko/people",
    answers({ url: "https://login/" }, heard),
  );
  assert.equal(url, "https://login/");
  const challenge = btoa(String.fromCharCode(...sha256(new TextEncoder().encode(verifier))));
  const said = {
    device,
    return: "https://page/ko/people",
    challenge: challenge.replace(/\+/g, "-").replace(/\//g, "_").replace("=", ""),
  };
  assert.deepEqual(heard, [{ url: "https://a/begin", said }]);
  await isNoAttestor(() => beginLogin(attestor, asker, "", answers({ url: "javascript:alert(1)" })));
  assert.deepEqual(codeIn("#attestor-code=abc-_"), { kind: "code", value: "abc-_" });
  assert.deepEqual(codeIn("#attestor-error=attestor-login"), { kind: "error", value: "attestor-login" });
  for (const hash of ["", "#attestor-code=", "#attestor-code=<b>", "#else=a"])
    assert.equal(codeIn(hash), null);
});

test("a device is registered with a code that came back, or that was read aloud", async () => {
  const heard: Heard[] = [];
  const fetched = answers({ until: 5, gu: "jongno" }, heard);
  assert.deepEqual(await register(attestor, asker, SIGNED.read_aloud, "", MINUTE, fetched), {
    until: 5,
    gu: "jongno",
  });
  await register(attestor, asker, SIGNED.came_back, "proof", MINUTE, fetched);
  const common = { device, certificate: "line", minute: MINUTE };
  assert.deepEqual(
    heard.map(({ said }) => said),
    [
      { code: SIGNED.read_aloud, ...common, sig: SIGNED.device },
      { code: SIGNED.came_back, ...common, sig: SIGNED.login, verifier: "proof" },
    ],
  );
});

test("claims are asked for by the device and each key, and are what was asked for", async () => {
  const purposes = claims.map(({ purpose }) => purpose);
  const heard: Heard[] = [];
  const given = claims.map(({ hex }) => hex);
  const found = await askClaims(attestor, asker, purposes, MINUTE, answers({ claims: given }, heard));
  assert.deepEqual(found.map(toHex), given);
  const wants = claims.map(({ purpose, claim }, i) => ({ purpose, key: claim.key, sig: SIGNED.keys[i] }));
  assert.deepEqual(heard, [
    { url: "https://a/claims", said: { device, minute: MINUTE, wants, sig: SIGNED.claims } },
  ]);
  const ask =
    (told: object, by = attestor) =>
    () =>
      askClaims(by, asker, purposes, MINUTE, answers(told));
  await isNoAttestor(ask({ claims: given.slice(1) }));
  await isNoAttestor(ask({ claims: [given[1], given[0], given[2]] }));
  await isNoAttestor(ask({ claims: given }, { ...attestor, key: new Uint8Array(32) }));
});

test("a person's devices are listed, and one is reported lost by another or by the root", async () => {
  const heard: Heard[] = [];
  const one = { device, since: 1, until: 2, lost: false, this: true };
  assert.deepEqual(await devicesOf(attestor, asker, MINUTE, answers({ devices: [one] }, heard)), [one]);
  const lost = fromHex(SIGNED.lost_device);
  await reportLost(attestor, asker, lost, MINUTE, answers({}, heard));
  await reportLostByRoot(attestor, "word", answers({}, heard));
  assert.deepEqual(heard, [
    { url: "https://a/devices", said: { device, minute: MINUTE, sig: SIGNED.devices } },
    { url: "https://a/lost", said: { device, lost: toHex(lost), minute: MINUTE, sig: SIGNED.lost } },
    { url: "https://a/lost", said: { statement: "word" } },
  ]);
});

test("a refusal is told with its sentences", async () => {
  const refusal = { reason: "attestor-busy", sentence: { ko: "나중에요.", en: "Later." }, retry: true };
  try {
    await devicesOf(attestor, asker, MINUTE, answers(refusal, [], 429));
  } catch (error) {
    assert(error instanceof NotTold);
    assert.deepEqual(
      [error.reason, error.said, error.again],
      ["attestor-busy", { ko: "나중에요.", en: "Later." }, true],
    );
    return;
  }
  assert.fail("a refusal was believed");
});
