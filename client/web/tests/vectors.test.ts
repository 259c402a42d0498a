/** The bytes of tests/vectors, which the Python side produces, read and written here. */

import assert from "node:assert/strict";
import { test } from "node:test";
import civic from "../../../tests/vectors/civic.json";
import density from "../../../tests/vectors/density.json";
import grants from "../../../tests/vectors/grants.json";
import handshake from "../../../tests/vectors/handshake.json";
import play from "../../../tests/vectors/play.json";
import poses from "../../../tests/vectors/poses.json";
import speech from "../../../tests/vectors/speech.json";
import { fromHex, join, toHex } from "../src/net/bytes";
import { DensityFrame, encodePose, PosesFrame } from "../src/net/frames";
import { readChain } from "../src/net/grants";
import {
  avatarId,
  type KeptKey,
  newKey,
  type Signer,
  sha256,
  signer,
  signerOfSeed,
  verify,
} from "../src/net/keys";
import { decodeMessage, encodeMessage, Kind, type Pose, type Profile } from "../src/net/messages";
import { canonical, type Fields, Malformed, unpack } from "../src/net/msgpack";
import {
  birthOf,
  type HelloFields,
  helloInput,
  helloMap,
  sayInput,
  signHello,
  signSay,
  verifyChallenge,
} from "../src/net/sign";

/** A decoded value as the vectors have it: bytes as hex. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return toHex(value);
  if (Array.isArray(value)) return value.map(plain);
  if (value !== null && typeof value === "object")
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
  return value;
}

function json(value: unknown): string {
  return JSON.stringify(value);
}

test("a pose is written as it is read", () => {
  const { pose, hex } = poses[0] as { pose: Record<string, number>; hex: string };
  const { seq, east_cm, north_cm, up, yaw, state, ack } = pose as Record<string, never>;
  assert.equal(toHex(encodePose(seq, east_cm, north_cm, up, yaw, state, ack << 6)), hex);
});

test("frames of people are read, one after the other into the same arrays", () => {
  const frame = new PosesFrame();
  const arrays = [frame.ids, frame.east];
  for (const { poses: want, hex } of poses.slice(1)) {
    assert(want);
    frame.read(fromHex(hex));
    assert.deepEqual([frame.tier, frame.tMs, frame.count], [want.tier, want.t_ms, want.ids.length]);
    want.ids.forEach((id, i) => {
      assert.equal(frame.ids[i], id);
      assert(
        Math.abs((frame.east[i] as number) * 100 - (want.east_cm[i] as number)) <= frame.stepCm / 2 + 1e-6,
      );
      assert(
        Math.abs((frame.north[i] as number) * 100 - (want.north_cm[i] as number)) <= frame.stepCm / 2 + 1e-6,
      );
      assert.equal(Math.round((frame.up[i] as number) / 0.04), want.up[i]);
      assert.equal(frame.yaw[i], want.yaw[i]);
      assert.equal(frame.state[i], want.state[i]);
    });
  }
  assert.deepEqual(
    [frame.ids === arrays[0], frame.east === arrays[1]],
    [true, true],
    "nothing was made anew for a small frame",
  );
});

test("a crowd larger than the arrays makes them longer", () => {
  const frame = new PosesFrame();
  const data = new Uint8Array(16 + 16 * 3000);
  data[0] = 2;
  new DataView(data.buffer).setUint16(2, 3000, true);
  new DataView(data.buffer).setUint32(16 + 8 * 2999, 7, true);
  frame.read(data);
  assert.equal(frame.ids[2999], 7);
});

test("densities are read", () => {
  for (const { density: want, hex } of density) {
    const frame = new DensityFrame();
    frame.read(fromHex(hex));
    assert.deepEqual([frame.level, frame.tMs, frame.count], [want.level, want.t_ms, want.morton.length]);
    want.morton.forEach((morton, i) => {
      let back = 0;
      for (let bit = 0; bit < 16; bit++) {
        back += (((frame.columns[i] as number) >> bit) & 1) * 4 ** bit;
        back += (((frame.rows[i] as number) >> bit) & 1) * 2 * 4 ** bit;
      }
      assert.equal(back, morton);
      assert.equal(frame.people[i], Math.min(want.avatars[i] as number, 65_535));
    });
  }
});

test("control messages of a node are read; what a client sends is written", () => {
  for (const { kind, message, hex } of play) {
    const data = fromHex(hex);
    assert.equal(toHex(encodeMessage(kind, unpack(data, 1) as Fields)), hex, "read and written again");
    const read = decodeMessage(data);
    const filing = [0x55, 0x56]; // FILE and FILED, which the page has no use for
    const asked: number[] = [Kind.ACT, Kind.WHO, Kind.BLOCK, Kind.GROUP, Kind.FRIEND, Kind.GO, ...filing];
    if (asked.includes(kind)) assert.equal(read, null);
    else {
      assert(read);
      assert.equal(read.kind, kind);
      assert.deepEqual(JSON.parse(json(plain(read.body))), message);
    }
  }
});

const [keys, challenge, ...hellos] = handshake as unknown as [
  Record<string, string>,
  { hex: string },
  ...{ name: string; message: Record<string, unknown>; canonical: string; signed: string; hex: string }[],
];
const node = fromHex(keys.node as string);
const nonce = fromHex((challenge as unknown as { message: Record<string, string> }).message.nonce as string);
const person: Signer = signerOfSeed(fromHex(keys.person_seed as string));

test("keys, ids and births are the same", () => {
  assert.equal(toHex(person.public), keys.key);
  assert.equal(String(avatarId(person.public)), String(keys.avatar));
  assert.equal(toHex(birthOf(node, nonce)), keys.birth);
});

test("a challenge is verified, and one with any other bit is not", async () => {
  const read = decodeMessage(fromHex(challenge.hex));
  assert(read?.kind === Kind.CHALLENGE);
  assert.equal(await verifyChallenge(read.body), true);
  for (const field of ["node", "nonce", "sig"] as const) {
    const bytes = Uint8Array.from(read.body[field]);
    bytes[5] = (bytes[5] as number) ^ 1;
    assert.equal(await verifyChallenge({ ...read.body, [field]: bytes }), false, field);
  }
  assert.equal(await verifyChallenge({ ...read.body, url: `${read.body.url}x` }), false);
});

test("a grant of a file travels in a hello as it is", async () => {
  for (const { file, message, signed, hex } of grants) {
    const chain = readChain(file.join("\n"));
    assert(chain);
    assert.deepEqual([chain.role, chain.untilMs], ["official", 1_800_000_000_000]);
    assert.equal(toHex(chain.subject), message.key);
    const { login_ms, url, profile } = message;
    const fields = { login_ms, url, profile };
    assert.equal(toHex(helloInput(node, nonce, helloMap(fields))), signed);
    const sent = await signHello(person, node, nonce, fields, chain.grants);
    assert.deepEqual(plain(unpack(sent, 1)), plain(unpack(fromHex(hex), 1)));
  }
});

test("hellos are signed to the bit", async () => {
  for (const { message, canonical: want, signed, hex } of hellos) {
    const bytes = (name: string): Uint8Array | undefined =>
      message[name] ? fromHex(message[name] as string) : undefined;
    const after = message.after_ms as number;
    const fields: HelloFields = {
      login_ms: message.login_ms as number,
      url: message.url as string,
      profile: message.profile as Profile,
      birth: bytes("birth"),
      ticket: bytes("ticket"),
      after: after ? { ms: after, birth: bytes("after_birth") as Uint8Array } : undefined,
      want: message.want as Pose | null,
    };
    assert.equal(toHex(canonical(helloMap(fields))), want);
    assert.equal(toHex(helloInput(node, nonce, helloMap(fields))), signed);
    const data = await signHello(person, node, nonce, fields);
    assert.deepEqual(unpack(data, 1), unpack(fromHex(hex), 1)); // the order of keys is free outside of signatures
    assert.equal(data.length, hex.length / 2);
  }
});

test("what is said is signed to the bit", async () => {
  for (const { message, signed, hex } of speech) {
    const said = {
      channel: message.channel,
      text: message.text,
      ms: message.ms,
      to: fromHex(message.to),
      avatar: message.avatar,
    };
    assert.equal(toHex(sayInput(said)), signed);
    assert.equal(toHex(await signSay(person, message.n, said)), hex);
  }
});

test("a key that the browser keeps signs what anybody verifies", async () => {
  const kept: KeptKey = await newKey();
  const by = await signer(kept);
  const message = new TextEncoder().encode("서울");
  const sig = await by.sign(message);
  assert.equal(await verify(by.public, message, sig), true);
  assert.equal(await verify(person.public, message, sig), false);
  assert.equal(await verify(person.public, message, await person.sign(message)), true);
});

test("canonical maps are sorted by their UTF-8 bytes, inside too", () => {
  const one = canonical({
    z: 1,
    "\u{1F600}": { b: 1, a: -1 },
    "\uFFFD": null,
    a: [300, 70_000, 2 ** 40, -200],
  });
  const two = canonical({
    a: [300, 70_000, 2 ** 40, -200],
    "\uFFFD": null,
    "\u{1F600}": { a: -1, b: 1 },
    z: 1,
  });
  assert.equal(toHex(one), toHex(two));
  const keys = Object.keys(unpack(one) as Fields);
  assert.deepEqual(keys, ["a", "z", "\uFFFD", "\u{1F600}"]);
  assert.throws(() => canonical({ a: 1.5 }), RangeError);
});

test("whatever bytes come, they are read or refused, never worse", () => {
  let seed = 1;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % below;
  };
  const whole = [...play, ...handshake.slice(1), ...poses, ...density].map(({ hex }) =>
    fromHex(hex as string),
  );
  const [people, counts] = [new PosesFrame(), new DensityFrame()];
  let refused = 0;
  for (let round = 0; round < 6000; round++) {
    const from = whole[random(whole.length)] as Uint8Array;
    const data = Uint8Array.from(from.subarray(0, random(3) ? from.length : random(from.length + 1)));
    for (let flips = random(4); flips > 0 && data.length > 1; flips--)
      data[1 + random(data.length - 1)] = random(256);
    try {
      if (data[0] === 2) people.read(data);
      else if (data[0] === 3) counts.read(data);
      else decodeMessage(data);
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      refused++;
    }
  }
  assert(refused > 1000);
});

test("a message cannot cost more than it weighs", () => {
  const deep = Uint8Array.from([0x43, ...Array(4000).fill(0x91)]);
  const long = Uint8Array.from([0x43, 0xdd, 0xff, 0xff, 0xff, 0xff]);
  const twice = Uint8Array.from([0x43, 0x82, 0xa1, 0x61, 1, 0xa1, 0x61, 2]);
  const float = Uint8Array.from([0x43, 0x81, 0xa1, 0x61, 0xca, 0, 0, 0, 0]);
  for (const data of [deep, long, twice, float]) assert.throws(() => decodeMessage(data), Malformed);
  assert.equal(decodeMessage(Uint8Array.from([0x7f, 0x80])), null);
});

test("leaves of the civic log are written in one way, signed, and hashed as the log's", async () => {
  for (const { leaf: want, statement, hex, hash } of civic) {
    const entry = fromHex(hex);
    const leaf = unpack(entry) as Fields;
    assert.equal(toHex(canonical(leaf)), hex);
    const filing = leaf.filing as Fields;
    const said = join(new TextEncoder().encode("p2pworld civic filing v1\n"), canonical(filing));
    assert.equal(toHex(said), statement);
    assert(await verify(filing.key as Uint8Array, said, leaf.sig as Uint8Array));
    const read = plain(filing) as Record<string, unknown>;
    for (const [name, value] of Object.entries(want.filing)) assert.deepEqual(read[name] ?? "", value);
    assert.equal(toHex(sha256(join(new Uint8Array(1), entry))), hash);
  }
});

test("what is sealed is what its leaf's hash stands for, the wraps too", () => {
  const { sealed, leaf } = civic[0] as (typeof civic)[0];
  assert(sealed);
  const text = new TextEncoder();
  const wraps = join(fromHex(sealed.office), fromHex(sealed.wrapped_key));
  const filed = sha256(join(text.encode("p2pworld civic wraps v1\n"), wraps));
  assert.equal(toHex(filed), sealed.filed);
  const name = text.encode("p2pworld civic sealed v2\n");
  const hash = sha256(join(name, fromHex(sealed.nonce), sha256(fromHex(sealed.blob)), filed));
  assert.equal(toHex(hash), leaf.filing.sealed);
});

test("an erasure is asked for by the key of what is erased", async () => {
  const { erasure, leaf } = civic[1] as (typeof civic)[1];
  assert(erasure);
  const name = new TextEncoder().encode("p2pworld civic erasure v1\n");
  const said = canonical({ index: 0, key: fromHex(leaf.filing.key), stream: leaf.filing.stream });
  assert.equal(toHex(join(name, said)), erasure.statement);
  assert.equal(erasure.by, civic[0]?.leaf.filing.key);
  assert(await verify(fromHex(erasure.by), join(name, said), fromHex(erasure.asked)));
});
