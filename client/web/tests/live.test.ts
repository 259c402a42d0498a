/** The whole world of a page against a node played by hand, on a clock of its own. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { join } from "../src/net/bytes";
import { avatarId, signerOfSeed } from "../src/net/keys";
import { encodeMessage, Kind, profileFields } from "../src/net/messages";
import { type Fields, unpack } from "../src/net/msgpack";
import { birthOf, sayInput } from "../src/net/sign";
import { LiveWorld, type Surroundings } from "../src/state/live";
import { RIDE, WALK } from "../src/state/world";

const URL_A = "ws://a.example/play";
const person = signerOfSeed(new Uint8Array(32).fill(9));
const node = signerOfSeed(new Uint8Array(32).fill(1));
const other = signerOfSeed(new Uint8Array(32).fill(5));
const UTF8 = new TextEncoder();
const AHEAD_MS = 5000; // the node's clock against ours

class Stage {
  ms = 1000;
  conn = 0;
  wakeMs = Number.POSITIVE_INFINITY;
  frames = 0;
  nonces = 0;
  early = 0;
  readonly sent: { ms: number; data: Uint8Array }[] = [];
  readonly kept = new Map<string, unknown>();
  readonly events: unknown[] = [];
  readonly world: LiveWorld;

  constructor(blocked: [number, string][] = []) {
    const around: Surroundings = {
      now: () => this.ms,
      wall: () => 1_700_000_000_000 + this.ms,
      open: (conn) => {
        this.conn = conn;
      },
      send: (_conn, data) => this.sent.push({ ms: this.ms, data }),
      close: () => {},
      wakeAt: (ms) => {
        this.wakeMs = ms;
      },
      claim: () => this.events.push("claim"),
      keep: (name, value) => this.kept.set(name, value),
    };
    this.world = new LiveWorld(around, {
      signer: person,
      urls: [URL_A],
      entropy: new Uint8Array(16),
      profile: { name: "김서울", look: "", kind: "person" },
      want: null,
      lastLoginMs: 0,
      blocked,
    });
  }

  /** Lets time pass: timers ring, and while a node holds us a frame comes each 100 ms. */
  pass(ms: number, alive = true): void {
    for (const end = this.ms + ms; this.ms < end; ) {
      this.ms = Math.min(end, this.ms + 1);
      if (this.ms + this.early >= this.wakeMs) {
        this.wakeMs = Number.POSITIVE_INFINITY;
        this.world.wake();
      }
      if (alive && this.ms % 100 === 0) this.frame();
    }
  }

  frame(): void {
    const data = new Uint8Array(16);
    data[0] = 2;
    new DataView(data.buffer).setUint32(4, this.ms + AHEAD_MS, true);
    this.world.received(this.conn, data);
  }

  /** What was sent of one kind, since `ms`. */
  of(kind: number, since = 0): { ms: number; data: Uint8Array }[] {
    return this.sent.filter((one) => one.data[0] === kind && one.ms >= since);
  }

  /** Waits until signatures made elsewhere are there. */
  async until(holds: () => boolean): Promise<void> {
    for (let i = 0; i < 100_000 && !holds(); i++) await new Promise((resolve) => setTimeout(resolve, 0));
    assert(holds());
  }

  say(kind: number, fields: Fields): void {
    this.world.received(this.conn, encodeMessage(kind, fields));
  }

  async join(state = 0): Promise<void> {
    const conn = this.conn;
    this.world.gesture();
    for (let i = 0; i < 6000 && this.conn === conn; i++) this.pass(1, false);
    const nonce = new Uint8Array(32).fill(++this.nonces);
    const sig = await node.sign(join(UTF8.encode("p2pworld challenge v1\n"), nonce, UTF8.encode(URL_A)));
    const hellos = this.of(Kind.HELLO).length;
    this.say(Kind.CHALLENGE, { v: 1, node: node.public, nonce, url: URL_A, sig });
    await this.until(() => this.of(Kind.HELLO).length > hellos);
    const hello = unpack(this.of(Kind.HELLO).at(-1)?.data as Uint8Array, 1) as Fields;
    this.say(Kind.WELCOME, {
      id: avatarId(person.public),
      login_ms: hello.login_ms,
      birth: birthOf(node.public, nonce),
      pose: { east_cm: 3_379_000, north_cm: 3_230_000, state: state || undefined },
      seq: 0,
      tick_ms: 100,
      t_ms: this.ms + AHEAD_MS,
      time_ms: 1_700_000_000_000 + this.ms + AHEAD_MS,
      cell: 5,
    });
    this.pass(200);
  }
}

test("poses: ten a second while walking, one while still, shifted as the node asks", async () => {
  const stage = new Stage();
  await stage.join();
  assert.equal(stage.world.view(stage.ms).link, "here");
  let from = stage.ms;
  stage.pass(5000);
  assert.equal(stage.of(1, from + 1).length, 5);
  stage.world.walk(1, 0, false);
  from = stage.ms;
  stage.pass(2000);
  const walked = stage.of(1, from + 1);
  assert(Math.abs(walked.length - 20) <= 1);
  assert.equal(walked.at(-1)?.data[1], WALK);
  const phase = (walked.at(-1)?.ms as number) % 100;
  stage.say(Kind.PACE, { shift_ms: 37 });
  stage.pass(2000);
  assert.equal((stage.of(1).at(-1)?.ms as number) % 100, (phase + 37) % 100);
  const { me } = stage.world.view(stage.ms);
  assert(me && me.east > 33_798 && me.east < 33_800);
});

test("timers that ring a moment early lose nothing: the page logs in again and again", async () => {
  const stage = new Stage();
  stage.early = 0.9;
  await stage.join();
  for (let lost = 0; lost < 4; lost++) {
    const conn = stage.conn;
    stage.world.closed(conn);
    assert.equal(stage.world.view(stage.ms).link, "back in a moment");
    assert.equal(stage.world.view(stage.ms).node, "");
    stage.pass(5000, false);
    assert(stage.conn > conn, "another socket was opened");
  }
});

test("a node that falls silent is noticed within a second", async () => {
  const stage = new Stage();
  await stage.join();
  const told: string[] = [];
  stage.world.on("link", (link) => told.push(link));
  stage.pass(950, false);
  stage.world.view(stage.ms);
  assert.deepEqual(told, []);
  stage.pass(150, false);
  stage.world.view(stage.ms);
  assert.deepEqual(told, ["back in a moment"]);
  stage.frame();
  assert.deepEqual(told, ["back in a moment", "here"]);
});

test("server time is the node's, less half the way there and back", async () => {
  const stage = new Stage();
  await stage.join();
  stage.pass(3000);
  const view = stage.world.view(stage.ms);
  assert(Math.abs(view.serverTime() - (1_700_000_000_000 + stage.ms + AHEAD_MS)) < 2);
  const at = stage.world.beat(3);
  const sent = unpack(stage.of(Kind.BEAT).at(-1)?.data as Uint8Array, 1) as Fields;
  assert.deepEqual([sent.at_ms, sent.voice], [at, 3]);
  assert.equal(at, Math.round(view.serverTime() + 150));
});

test("what is said is heard only if it was signed by who says it, and not from who is blocked", async () => {
  const stage = new Stage();
  await stage.join();
  const heard: string[] = [];
  stage.world.on("said", ({ text }) => heard.push(text));
  const tell = async (text: string, by = other, id = avatarId(other.public)) => {
    const speech = { channel: "near", text, ms: 5 };
    const sig = await by.sign(sayInput(speech));
    const where = { east_cm: 3_379_000, north_cm: 3_230_000 };
    stage.say(Kind.SAID, { id, key: other.public, name: "이웃", ...speech, sig, ...where });
  };
  const id = avatarId(other.public);
  await tell("안녕하세요");
  await tell("forged", node);
  await tell("somebody else", other, 77);
  await tell("잘 지내요?");
  await stage.until(() => heard.length >= 2); // in the order in which it came: the others were left out
  assert.deepEqual(heard, ["안녕하세요", "잘 지내요?"]);
  stage.world.block(id, true);
  await tell("다시");
  stage.world.block(id, false);
  await tell("이제");
  await stage.until(() => heard.length >= 3);
  assert.deepEqual(heard.slice(2), ["이제"]);
  stage.world.block(id, true, "이서울");
  assert.deepEqual(stage.kept.get("blocked"), [[avatarId(other.public), "이서울"]]);
});

test("blocks and groups are told to each node anew; speech is trimmed, signed and in order", async () => {
  const stage = new Stage([[77, "칠칠"]]);
  await stage.join();
  const block = unpack(stage.of(Kind.BLOCK)[0]?.data as Uint8Array, 1) as Fields;
  assert.deepEqual({ ...block }, { avatar: 77 });
  stage.world.group("0f".repeat(16), true);
  stage.world.befriend(78, true);
  stage.world.befriend(79, true);
  stage.world.befriend(79, false);
  stage.world.go("friend", 78);
  const go = unpack(stage.of(Kind.GO)[0]?.data as Uint8Array, 1) as Fields;
  assert.deepEqual({ ...go }, { place: "friend", avatar: 78 });
  assert.equal(stage.world.say("near", "  \u0000 \n"), false);
  for (const text of [" 하나 ", "둘", `${"가".repeat(400)}`]) assert(stage.world.say("near", text));
  await stage.until(() => stage.of(Kind.SAY).length === 3);
  const said = stage.of(Kind.SAY).map(({ data }) => unpack(data, 1) as Fields);
  assert.deepEqual(
    said.map(({ n }) => n),
    [1, 2, 3],
  );
  assert.deepEqual(
    said.map(({ text }) => (text as string).length),
    [2, 1, 300],
  );
  stage.world.closed(stage.conn);
  const before = stage.sent.length;
  await stage.join();
  stage.pass(2000);
  const again = stage.sent.slice(before).map(({ data }) => data[0]);
  assert(again.includes(Kind.BLOCK) && again.includes(Kind.GROUP));
  const welcomed = stage.sent.slice(before).filter(({ data }) => data[0] === Kind.FRIEND);
  assert.deepEqual(
    welcomed.map(({ data }) => ({ ...(unpack(data, 1) as Fields) })),
    [{ avatar: 78 }],
  );
  assert(again.indexOf(Kind.BLOCK) < again.indexOf(Kind.FRIEND), "nobody is welcome before blocks are known");
});

test("what nobody has heard is said again at the next node, and nothing is heard twice", async () => {
  const stage = new Stage();
  await stage.join();
  const heard: string[] = [];
  stage.world.on("said", ({ text }) => heard.push(text));
  for (const text of ["하나", "둘", "셋", "넷"]) stage.world.say("near", text);
  await stage.until(() => stage.of(Kind.SAY).length === 4);
  const said = stage.of(Kind.SAY).map(({ data }) => unpack(data, 1) as Fields);
  const echo = ({ text, ms, sig }: Fields): void => {
    const where = { east_cm: 3_379_000, north_cm: 3_230_000 };
    const id = avatarId(person.public);
    stage.say(Kind.SAID, {
      id,
      key: person.public,
      name: "김서울",
      channel: "near",
      text,
      ms,
      sig,
      ...where,
    });
  };
  stage.say(Kind.NOTICE, { code: "say-rate", sentence: "" }); // of the first
  echo(said[1] as Fields);
  await stage.until(() => heard.length === 1);
  stage.world.closed(stage.conn);
  const before = stage.sent.length;
  await stage.join();
  stage.pass(2000);
  const again = stage.sent.slice(before).filter(({ data }) => data[0] === Kind.SAY);
  assert.deepEqual(
    again.map(({ data }) => (unpack(data, 1) as Fields).text),
    ["셋", "넷"],
  );
  for (const one of [2, 2, 1, 3]) echo(said[one] as Fields);
  await stage.until(() => heard.length === 3);
  assert.deepEqual(heard, ["둘", "셋", "넷"]);
  stage.world.closed(stage.conn);
  const later = stage.sent.length;
  await stage.join();
  stage.pass(2000);
  assert(!stage.sent.slice(later).some(({ data }) => data[0] === Kind.SAY));
});

test("a newer tab: this one stops, says so, and comes back when asked", async () => {
  const stage = new Stage();
  await stage.join();
  stage.world.on("elsewhere", (news) => stage.events.push(news));
  stage.world.stopForTab();
  assert.equal(stage.world.view(stage.ms).link, "stopped");
  stage.pass(10_000, false);
  assert.equal(stage.world.view(stage.ms).link, "stopped");
  await stage.join();
  assert.equal(stage.world.view(stage.ms).link, "here");
  assert.deepEqual(stage.events, ["claim", { where: "tab" }, "claim"]);
});

test("a new look logs in again at the same spot", async () => {
  const stage = new Stage();
  await stage.join();
  stage.world.walk(0, 1, true);
  stage.pass(1000);
  const stood = stage.world.view(stage.ms).me?.north as number;
  const conn = stage.conn;
  stage.world.profile("이서울", "hanbok:jade");
  stage.pass(50, false);
  assert(stage.conn > conn);
  const nonce = new Uint8Array(32).fill(99);
  const sig = await node.sign(join(UTF8.encode("p2pworld challenge v1\n"), nonce, UTF8.encode(URL_A)));
  stage.say(Kind.CHALLENGE, { v: 1, node: node.public, nonce, url: URL_A, sig });
  await stage.until(() => stage.of(Kind.HELLO).length === 2);
  const hello = unpack(stage.of(Kind.HELLO).at(-1)?.data as Uint8Array, 1) as Fields;
  assert.deepEqual(
    { ...(hello.profile as Fields) },
    {
      ...JSON.parse(JSON.stringify(profileFields({ name: "이서울", look: "hanbok:jade", kind: "person" }))),
    },
  );
  assert(Math.abs(((hello.want as Fields).north_cm as number) / 100 - stood) < 0.5);
});

test("no name and no look is one that a node would not take", () => {
  const { world } = new Stage();
  world.profile(" \u0000 ", `${"a".repeat(40)};${"b".repeat(23)}`);
  assert.deepEqual([world.name, world.look], ["김서울", `${"a".repeat(40)};${"b".repeat(23)}`]);
  world.profile("가".repeat(50), "x".repeat(65));
  assert.deepEqual([world.name, world.look], ["가".repeat(32), ""]);
});

test("who logs in again on a bus is still on it", async () => {
  const stage = new Stage();
  await stage.join(RIDE);
  stage.world.walk(1, 0, true);
  stage.pass(500);
  const { me } = stage.world.view(stage.ms);
  assert.deepEqual([me?.state, me?.east], [RIDE, 33_790]);
});
