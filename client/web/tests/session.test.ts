/** A session against nodes that are played by hand: what it opens, says and closes, and when, on a clock of its own. */

import assert from "node:assert/strict";
import { test } from "node:test";
import grants from "../../../tests/vectors/grants.json";
import { join, toHex } from "../src/net/bytes";
import { readChain } from "../src/net/grants";
import { type Signer, signerOfSeed } from "../src/net/keys";
import {
  type Done,
  encodeMessage,
  Kind,
  type NodeMessage,
  type Pose,
  type Welcome,
} from "../src/net/messages";
import { type Fields, unpack } from "../src/net/msgpack";
import { JOIN_MS, Session, SILENCE_MS, SILENCE_TICKS } from "../src/net/session";
import { birthOf, verifyChallenge } from "../src/net/sign";

const POSE: Fields = { east_cm: 3_379_000, north_cm: 3_230_000 };
const person = signerOfSeed(new Uint8Array(32).fill(9));
const nodeA = signerOfSeed(new Uint8Array(32).fill(1));
const nodeB = signerOfSeed(new Uint8Array(32).fill(2));
const [A, B] = ["ws://a.example/play", "ws://b.example/play"];

/** One client and all the world around it. */
class Stage {
  ms = 1000;
  unixMs = 1_700_000_000_000;
  readonly log: string[] = [];
  readonly sent: { conn: number; data: Uint8Array }[] = [];
  readonly urls = new Map<number, string>();
  readonly welcomes: { welcome: Welcome; fresh: boolean }[] = [];
  readonly corrections: string[] = [];
  readonly heard: NodeMessage[] = [];
  readonly settled: Done[] = [];
  readonly session: Session;
  private nonces = 0;
  readonly nonceOf = new Map<number, Uint8Array>();

  constructor(urls: string[] = [A, B], lastLoginMs = 0) {
    const shell = {
      now: () => this.ms,
      wall: () => this.unixMs,
      open: (conn: number, url: string) => {
        this.urls.set(conn, url);
        this.log.push(`open ${conn} ${url}`);
      },
      send: (conn: number, data: Uint8Array) => this.sent.push({ conn, data }),
      close: (conn: number) => this.log.push(`close ${conn}`),
    };
    const owner = {
      changed: () => {},
      welcomed: (welcome: Welcome, fresh: boolean) => this.welcomes.push({ welcome, fresh }),
      corrected: (_pose: Pose, reason: string) => this.corrections.push(reason),
      said: (message: NodeMessage) => this.heard.push(message),
      login: () => {},
      settled: (done: Done) => this.settled.push(done),
    };
    const profile = { name: "김서울", look: "", kind: "person" };
    this.session = new Session(person, profile, urls, new Uint8Array(16), shell, owner, null, lastLoginMs);
  }

  /** What was done since the last call. */
  done(): string[] {
    return this.log.splice(0);
  }

  /** The last message of this kind on `conn`. */
  last(conn: number, kind: number): Fields {
    const found = this.sent.findLast((one) => one.conn === conn && one.data[0] === kind);
    assert(found, `nothing of kind ${kind} was sent on ${conn}`);
    return unpack(found.data, 1) as Fields;
  }

  say(conn: number, kind: number, fields: Fields): Promise<void> {
    return this.session.message(conn, encodeMessage(kind, fields));
  }

  async challenge(conn: number, node: Signer, url = this.urls.get(conn) as string): Promise<void> {
    const nonce = new Uint8Array(32).fill(++this.nonces);
    this.nonceOf.set(conn, nonce);
    const text = new TextEncoder();
    const sig = await node.sign(join(text.encode("p2pworld challenge v1\n"), nonce, text.encode(url)));
    await this.say(conn, Kind.CHALLENGE, { v: 1, node: node.public, nonce, url, sig });
  }

  async welcome(conn: number, more: Fields = {}): Promise<void> {
    const hello = this.last(conn, Kind.HELLO);
    const birth = (hello.birth as Uint8Array) ?? birthOf(nodeA.public, this.nonceOf.get(conn) as Uint8Array);
    await this.say(conn, Kind.WELCOME, {
      id: this.session.id,
      login_ms: hello.login_ms,
      birth,
      pose: POSE,
      seq: 0,
      tick_ms: 100,
      t_ms: 5,
      time_ms: this.unixMs,
      cell: 5,
      ...more,
    });
  }

  /** Lets time pass, with a tick at each deadline on the way. */
  pass(ms: number): void {
    const end = this.ms + ms;
    while (this.session.deadlineMs <= end) {
      this.ms = Math.max(this.ms, this.session.deadlineMs);
      this.session.tick();
    }
    this.ms = end;
    this.session.tick();
  }

  async play(node = nodeA): Promise<void> {
    this.session.gesture();
    this.pass(0);
    await this.challenge(this.session.main, node);
    await this.welcome(this.session.main);
    assert.equal(this.session.at, "PLAYING");
    this.done();
  }
}

test("it joins, and goes on from where it is told", async () => {
  const stage = new Stage();
  stage.session.gesture();
  stage.pass(0);
  assert.deepEqual(stage.done(), [`open 1 ${A}`]);
  await stage.challenge(1, nodeA);
  const hello = stage.last(1, Kind.HELLO);
  assert.deepEqual([hello.login_ms, hello.after_ms, hello.want], [stage.unixMs, undefined, undefined]);
  await stage.welcome(1, { seq: 70_000 });
  stage.session.steer(stage.session.pose as Pose);
  const { data } = stage.sent.at(-1) as { data: Uint8Array };
  assert.equal(new DataView(data.buffer).getUint16(2, true), 70_001 & 0xffff);
  assert.equal(stage.session.handoffs, 0);
});

test("a node that is not who it says is left for another, at once", async () => {
  const stage = new Stage();
  stage.session.gesture();
  stage.pass(0);
  await stage.challenge(1, nodeA, B);
  assert.equal(stage.session.trouble.code, "url");
  stage.pass(1000);
  assert.deepEqual(stage.done(), [`open 1 ${A}`, "close 1", `open 2 ${B}`]);
  const forged = await nodeB.sign(new Uint8Array(3));
  const nonce = new Uint8Array(32);
  await stage.say(2, Kind.CHALLENGE, { v: 1, node: nodeB.public, nonce, url: B, sig: forged });
  assert.equal(stage.session.trouble.code, "signature");
  assert.equal(await verifyChallenge({ v: 1, node: nodeB.public, nonce, url: B, sig: forged }), false);
  assert(stage.done().includes("close 2"));
});

test("a handoff: poses go to both, the old socket is closed by the new one's welcome, the seq goes on", async () => {
  const stage = new Stage();
  await stage.play();
  const { session } = stage;
  const login = session.login;
  for (let i = 0; i < 5; i++) session.steer(session.pose as Pose);
  const ticket = new Uint8Array(16).fill(7);
  await stage.say(1, Kind.MOVED, { node: nodeB.public, url: B, ticket });
  assert.deepEqual(stage.done(), [`open 2 ${B}`]);
  assert.deepEqual(session.posesTo, [1]);
  await stage.challenge(2, nodeB);
  const hello = stage.last(2, Kind.HELLO);
  assert.deepEqual(hello.ticket, ticket);
  assert.deepEqual([hello.login_ms, hello.birth], [login?.ms, login?.birth]);
  assert.deepEqual(session.posesTo, [1, 2]);
  session.steer(session.pose as Pose);
  assert.deepEqual(
    stage.sent.slice(-2).map((one) => one.conn),
    [1, 2],
  );
  assert.equal(toHex(stage.sent.at(-1)?.data as Uint8Array), toHex(stage.sent.at(-2)?.data as Uint8Array));
  await stage.welcome(2, { seq: 3 });
  assert.deepEqual(stage.done(), ["close 1"]);
  assert.deepEqual([session.main, session.seq, session.handoffs], [2, 6, 1]);
  assert.equal(toHex(session.node as Uint8Array), toHex(nodeB.public));
  await stage.say(1, Kind.BYE, { code: "moved" });
  assert.equal(session.at, "PLAYING");
});

test("grants are shown at a login and at a handoff", async () => {
  const stage = new Stage();
  const chain = readChain(`# mine\n\n${grants[0]?.file.join("\n")}\n`);
  assert(chain);
  stage.session.grants = chain.grants;
  await stage.play();
  assert.deepEqual(stage.last(1, Kind.HELLO).grants, chain.grants);
  await stage.say(1, Kind.MOVED, { node: nodeB.public, url: B, ticket: new Uint8Array(16).fill(7) });
  await stage.challenge(2, nodeB);
  assert.deepEqual(stage.last(2, Kind.HELLO).grants, chain.grants);
});

test("a session without grants says nothing of them", async () => {
  const stage = new Stage();
  await stage.play();
  assert.equal("grants" in stage.last(1, Kind.HELLO), false);
});

test("what is no chain of grants is not taken for one", () => {
  const line = grants[0]?.file[0] as string;
  for (const text of [
    "",
    "# nothing",
    "no grant at all!",
    line.slice(0, -3),
    `${line}\n`.repeat(5),
    "gA", // an empty map
    "kA", // an empty list
    "wA", // nothing
    "A".repeat(9000),
  ])
    assert.equal(readChain(text), null, text.slice(0, 40));
  assert.equal(readChain(line)?.role, "issuer");
});

test("a seat at another node than promised is not taken", async () => {
  const stage = new Stage();
  await stage.play();
  await stage.say(1, Kind.MOVED, { node: nodeB.public, url: B, ticket: new Uint8Array(16) });
  await stage.challenge(2, nodeA);
  assert.equal(stage.session.at, "PLAYING");
  assert.deepEqual(stage.done(), [`open 2 ${B}`, "close 2"]);
});

test("silence of a second and four ticks is a loss; the next login is larger and says what it continues", async () => {
  const stage = new Stage();
  await stage.play();
  const { session } = stage;
  const first = session.login;
  const silenceMs = SILENCE_MS + SILENCE_TICKS * session.tickMs;
  stage.pass(silenceMs - 100);
  session.heard(1, 77);
  stage.pass(silenceMs - 100);
  assert.equal(session.at, "PLAYING");
  stage.pass(200);
  assert.equal(session.at, "JOINING", "another node is tried at once");
  assert.deepEqual(stage.done(), ["close 1", `open 2 ${B}`]);
  await stage.challenge(2, nodeB);
  const hello = stage.last(2, Kind.HELLO);
  assert((hello.login_ms as number) > (first?.ms as number));
  assert.deepEqual([hello.after_ms, hello.after_birth], [first?.ms, first?.birth]);
  assert(hello.want);
});

test("a newer login elsewhere stops it until the person asks, and that login is larger still", async () => {
  const stage = new Stage();
  await stage.play();
  const theirs = stage.unixMs + 50_000;
  await stage.say(1, Kind.BYE, { code: "elsewhere", login_ms: theirs, birth: new Uint8Array(16).fill(3) });
  assert.equal(stage.session.at, "STOPPED");
  stage.pass(60_000);
  assert.deepEqual(stage.done(), ["close 1"]);
  stage.session.gesture();
  stage.pass(0);
  await stage.challenge(2, nodeA);
  const hello = stage.last(2, Kind.HELLO);
  assert((hello.login_ms as number) > theirs);
  assert.equal(hello.after_ms, undefined);
});

test("its own login whose welcome was lost is continued, not taken for another device", async () => {
  const stage = new Stage();
  await stage.play();
  stage.session.closed(1);
  stage.pass(500);
  await stage.challenge(2, nodeA);
  const lost = stage.last(2, Kind.HELLO);
  const birth = birthOf(nodeA.public, stage.nonceOf.get(2) as Uint8Array);
  stage.session.closed(2);
  stage.pass(500);
  await stage.challenge(3, nodeB);
  await stage.say(3, Kind.BYE, { code: "elsewhere", login_ms: lost.login_ms, birth });
  assert.equal(stage.session.at, "OUT");
  stage.pass(2000);
  await stage.challenge(4, nodeA);
  const hello = stage.last(4, Kind.HELLO);
  assert.deepEqual([hello.after_ms, hello.after_birth], [lost.login_ms, birth]);
});

test("nobody answers: it tries each node in turn, at longer and longer times", async () => {
  const stage = new Stage();
  stage.session.gesture();
  const at: number[] = [];
  for (let i = 0; i < 8; i++) {
    stage.pass(0);
    while (stage.session.at === "OUT") stage.pass(10);
    at.push(stage.ms);
    if (i % 2) stage.session.closed(stage.session.main);
    else stage.pass(JOIN_MS);
  }
  const opened = stage.done().filter((line) => line.startsWith("open"));
  assert.deepEqual(
    opened.slice(0, 4).map((line) => line.split(" ")[2]),
    [A, B, A, B],
  );
  assert((at[7] as number) - (at[6] as number) > 1000);
});

test("an act is asked again until it is answered, under one number, across a new login", async () => {
  const stage = new Stage();
  await stage.play();
  const done = stage.session.ask(Kind.ACT, { verb: "hang", text: "새해 복" });
  const first = stage.last(1, Kind.ACT);
  stage.session.closed(1);
  stage.pass(500);
  await stage.challenge(2, nodeA);
  await stage.welcome(2);
  assert.deepEqual(stage.last(2, Kind.ACT), first);
  await stage.say(2, Kind.DONE, { n: first.n, reason: "busy" });
  const sent = stage.sent.length;
  for (let i = 0; i < 5; i++) {
    stage.session.heard(2, i);
    stage.pass(500);
  }
  assert.equal(stage.sent.length, sent + 1);
  await stage.say(2, Kind.DONE, { n: first.n, durable: "standby", id: new Uint8Array(16) });
  assert.equal((await done).durable, "standby");
  await stage.say(2, Kind.DONE, { n: first.n, durable: "standby" });
});

test("what a node keeps is answered at once, and once more when it is safe", async () => {
  const stage = new Stage();
  await stage.play();
  const done = stage.session.ask(Kind.ACT, { verb: "hang", text: "새해 복", keep: true });
  const { n, keep } = stage.last(1, Kind.ACT);
  assert.equal(keep, true);
  await stage.say(1, Kind.DONE, { n, durable: "pending", id: new Uint8Array(16) });
  assert.equal((await done).durable, "pending");
  const sent = stage.sent.length;
  for (let i = 1; i <= 3; i++) {
    stage.session.heard(1, i);
    stage.pass(1000);
  }
  assert.equal(stage.sent.length, sent); // it is not asked for again
  for (let i = 0; i < 2; i++) await stage.say(1, Kind.DONE, { n, durable: "standby" });
  assert.deepEqual(
    stage.settled.map((one) => one.durable),
    ["standby"],
  );
});

test("an act stays where it was first asked for", async () => {
  const stage = new Stage();
  await stage.play();
  stage.session.steer({ east_cm: 1500.4, north_cm: 2500, up: 0, yaw: 0, state: 1 });
  void stage.session.ask(Kind.ACT, { verb: "hang" });
  const { east_cm, north_cm } = stage.last(1, Kind.ACT);
  assert.deepEqual([east_cm, north_cm], [1500, 2500]);
  stage.session.steer({ east_cm: 1600, north_cm: 2600, up: 0, yaw: 0, state: 1 });
  for (let i = 0; i < 5; i++) {
    stage.session.heard(1, i);
    stage.pass(500);
  }
  assert.equal(stage.last(1, Kind.ACT).east_cm, 1500);
  assert.equal(stage.last(1, Kind.ACT).north_cm, 2500);
});

test("more acts than a node keeps are refused here, with a sentence", async () => {
  const stage = new Stage();
  await stage.play();
  for (let i = 0; i < 32; i++) stage.session.ask(Kind.ACT, { verb: "hang" });
  assert.equal((await stage.session.ask(Kind.ACT, { verb: "hang" })).reason, "busy");
});

test("a client that is wrong does not try again by itself", async () => {
  const stage = new Stage();
  stage.session.gesture();
  stage.pass(0);
  await stage.challenge(1, nodeA);
  await stage.say(1, Kind.BYE, { code: "clock", reason: "Your clock is ahead." });
  stage.pass(60_000);
  assert.equal(stage.session.at, "STOPPED");
  assert.deepEqual(stage.session.trouble, { code: "clock", sentence: "Your clock is ahead." });
});
