/**
 * One person's presence in the city, without sockets or clocks of its own: which sockets are open, what is said on them,
 * where the avatar is. `table` decides; `Session` stands around it: it chooses urls and logins, answers challenges,
 * sends the pose on every socket that may own the avatar under one seq, and asks again for every act until answered.
 *
 * A client is never in the city twice: a newer login of the same person, made elsewhere, stops it until `gesture`.
 * A login of its own whose WELCOME was lost on the way is recognised and continued.
 */

import { same } from "./bytes";
import { encodePose } from "./frames";
import { avatarId, type Signer, sha256 } from "./keys";
import {
  type Bye,
  type Challenge,
  type Done,
  decodeMessage,
  encodeMessage,
  Kind,
  type NodeMessage,
  type Pose,
  PROTOCOL,
  type Profile,
  type Welcome,
} from "./messages";
import { compareBytes, type Fields, Malformed } from "./msgpack";
import { birthOf, type HelloFields, type Login, signHello, verifyChallenge } from "./sign";
import { type At, NO_CONN, type Sockets, START, type Step, step } from "./table";

export const JOIN_MS = 3000; // from connecting to WELCOME
export const HELD_WAIT_MS = 2000;
export const SEAT_MS = 6000; // a seat that is neither committed nor given up after this long is given up here
// A node that owns an avatar sends it a frame every tick: this and so many ticks without any, and it is given up.
export const SILENCE_MS = 1000;
export const SILENCE_TICKS = 4;
const ASK_AGAIN_MS = 2000;
const ASKED_MAX = 32; // not yet answered
const URLS_MAX = 16;
const OWN_LOGINS_MAX = 64;
const BACKOFF_MS = [0, 100, 250, 500, 1000, 2000] as const;
const PASSES = new Set(["busy", "disk", "lapsed", "moved"]); // reasons that pass
/** Goodbyes after which it is no use to try again: the person must be told. */
const FOR_GOOD = new Set(["clock", "signature", "key", "version", "malformed", "removed", "banned"]);

/** Whoever carries out what a session wants; `now` is its clock in milliseconds, `wall` Unix milliseconds. */
export interface Shell {
  now(): number;
  wall(): number;
  open(conn: number, url: string): void;
  send(conn: number, data: Uint8Array): void;
  close(conn: number): void;
}

/** What a session tells whoever owns it. */
export interface Owner {
  /** The state, the node or the deadline may have changed. */
  changed(): void;
  /** In the world: `fresh` after a login, else after a handoff. */
  welcomed(welcome: Welcome, fresh: boolean): void;
  corrected(pose: Pose, reason: string): void;
  /** Anything else that came on the main socket. */
  said(message: NodeMessage): void;
  /** A login of this device is the largest known: keep it. */
  login(ms: number): void;
  /** What came of something that was answered as pending. */
  settled(done: Done): void;
}

interface Socket {
  readonly url: string;
  readonly openedMs: number;
  readonly expect: Uint8Array | null;
  readonly ticket: Uint8Array | null;
  node: Uint8Array | null;
  saidHello: boolean;
}

interface Asked {
  readonly kind: number;
  fields: Fields;
  againMs: number;
  readonly answer: (done: Done) => void;
}

export class Session {
  readonly id: number;
  login: Login | null = null;
  /** Where the avatar is, as its owner steers it. */
  pose: Pose | null;
  seq = 0;
  tickMs = 100;
  /** How much later poses should be sent than now; reset by whoever heeds it. */
  paceMs = 0;
  ackMs = 0;
  heardMs = Number.NEGATIVE_INFINITY;
  /** When `tick` must be called at the latest. */
  deadlineMs = Number.POSITIVE_INFINITY;
  /** The sockets a pose goes to. */
  posesTo: readonly number[] = [];
  trouble: { readonly code: string; readonly sentence: string } = { code: "", sentence: "" };
  logins = 0;
  handoffs = 0;
  /** Shown at each login and handoff: a chain that gives this person a role. */
  grants: readonly Fields[] = [];

  private sockets: Sockets = START;
  private readonly known = new Map<number, Socket>();
  private connsMade = 0;
  private attempt = 0;
  private loginAtMs = Number.POSITIVE_INFINITY;
  private sinceMs = 0;
  private after: Login | null = null;
  private readonly own: Login[] = [];
  private readonly asked = new Map<number, Asked>();
  private readonly pending = new Set<number>(); // what the node keeps, and will answer once more
  private askedMade = 0;
  private urls: string[];

  constructor(
    private readonly signer: Signer,
    public profile: Profile,
    urls: readonly string[],
    private readonly entropy: Uint8Array,
    private readonly shell: Shell,
    private readonly owner: Owner,
    want: Pose | null = null,
    private lastLoginMs = 0,
  ) {
    this.id = avatarId(signer.public);
    this.pose = want;
    this.urls = [...new Set(urls)].slice(0, URLS_MAX);
    if (this.urls.length === 0) throw new RangeError("a session needs at least one url to log in at");
  }

  // ------------------------------------------------------------------------------------------- looking

  get at(): At {
    return this.sockets.at;
  }

  get main(): number {
    return this.sockets.main;
  }

  /** Whether a node owns the avatar and is known to. */
  get playing(): boolean {
    return this.at === "PLAYING" || this.at === "BOTH";
  }

  /** The key of the node that owns the avatar, or null. */
  get node(): Uint8Array | null {
    return (this.playing && this.known.get(this.main)?.node) || null;
  }

  /** The url played on, or nothing. */
  get url(): string {
    return this.known.get(this.main)?.url ?? "";
  }

  // ------------------------------------------------------------------------------------------- wishes

  /** The person wants to be here: starts, and starts again after another device took over. */
  gesture(): void {
    this.after = null;
    this.step({ on: "GESTURE" });
    if (this.at === "OUT") {
      this.attempt = 0;
      this.loginAtMs = this.shell.now();
      this.setDeadline();
    }
  }

  /** Closes everything and stays out; `gesture` begins anew. */
  leave(): void {
    for (const conn of [this.sockets.main, this.sockets.held]) if (conn !== NO_CONN) this.shell.close(conn);
    this.sockets = START;
    this.known.clear();
    this.loginAtMs = Number.POSITIVE_INFINITY;
    this.follow();
  }

  /** Also tries these, after those known. */
  addUrls(urls: readonly string[]): void {
    this.urls = [...new Set([...this.urls, ...urls])].slice(0, URLS_MAX);
  }

  /** The avatar is there now: sends one POSE on every socket that may own it, all under one new seq. */
  steer(pose: Pose): void {
    this.pose = pose;
    this.seq = (this.seq + 1) >>> 0;
    const { east_cm, north_cm, up, yaw, state } = pose;
    const data = encodePose(this.seq, east_cm, north_cm, up, yaw, state, this.ackMs);
    for (const conn of this.posesTo) this.shell.send(conn, data);
  }

  /** Sends something that needs no answer; false when nobody would hear it. */
  tell(data: Uint8Array): boolean {
    if (!this.playing) return false;
    this.shell.send(this.main, data);
    return true;
  }

  /** Asks for something that lasts, again and again until DONE answers. */
  ask(kind: number, fields: Fields): Promise<Done> {
    if (this.asked.size >= ASKED_MAX) {
      const sentence = "Too much is still waiting for its answer.";
      return Promise.resolve({ n: 0, durable: "", id: new Uint8Array(0), reason: "busy", sentence });
    }
    const n = ++this.askedMade;
    const name = sha256(Uint8Array.from([...this.entropy, n >>> 24, n >>> 16, n >>> 8, n])).slice(0, 16);
    const named = kind === Kind.ACT ? { name } : {};
    return new Promise((answer) => {
      const againMs = this.shell.now();
      this.asked.set(n, { kind, fields: { n, ...fields, ...named }, againMs, answer });
      if (this.playing) this.askAgain(againMs);
      this.setDeadline();
    });
  }

  // ------------------------------------------------------------------------------------------- what happens

  /** A frame of poses came on `conn`, marked `tMs`. */
  heard(conn: number, tMs: number): void {
    if (conn !== this.main) return;
    this.ackMs = tMs;
    this.heardMs = this.shell.now();
  }

  /** `conn` could not be opened, or is gone. */
  closed(conn: number): void {
    if (!this.known.has(conn)) return;
    if (this.at === "JOINING") this.setTrouble("unreachable", "The node does not answer.");
    this.lost(conn);
  }

  /**
   * One control message on `conn`.
   *
   * Throws `Malformed`: the node broke the protocol; treat the socket as closed.
   */
  async message(conn: number, data: Uint8Array): Promise<void> {
    const socket = this.known.get(conn);
    const message = decodeMessage(data);
    if (!socket || !message) return;
    switch (message.kind) {
      case Kind.CHALLENGE:
        await this.challenged(conn, socket, message.body);
        break;
      case Kind.WELCOME:
        this.welcome(conn, message.body);
        break;
      case Kind.MOVED:
        if (conn === this.main && this.playing) {
          const { url, node, ticket } = message.body;
          const held = ++this.connsMade;
          this.know(held, url, node, ticket);
          this.step({ on: "MOVED", conn, held });
        }
        break;
      case Kind.CORRECT:
        if (conn === this.main && this.playing) {
          this.pose = message.body.pose;
          this.owner.corrected(message.body.pose, message.body.reason);
        }
        break;
      case Kind.DONE:
        this.done(message.body);
        break;
      case Kind.PACE:
        if (conn === this.main) this.paceMs += message.body.shift_ms;
        break;
      case Kind.BYE:
        this.bye(conn, socket, message.body);
        break;
      default:
        if (conn !== this.main) break;
        if (message.kind === Kind.NOTICE && message.body.code === "pace" && message.body.tick_ms > 0) {
          this.tickMs = message.body.tick_ms;
        }
        this.owner.said(message);
    }
  }

  /** Timers; to be called at `deadlineMs`, and as often as one likes. */
  tick(): void {
    const now = this.shell.now();
    if (now < this.deadlineMs) return;
    if (this.at === "OUT" && now >= this.loginAtMs) {
      this.loginAtMs = Number.POSITIVE_INFINITY;
      this.step({ on: "LOG_IN", conn: ++this.connsMade });
    } else if (this.at === "JOINING" && now >= this.sinceMs + JOIN_MS) {
      this.setTrouble("timeout", "The node did not welcome us in time.");
      this.tryOthersFirst(this.url);
      this.step({ on: "TIMER" });
    } else if (this.at === "HELD" && now >= this.sinceMs + HELD_WAIT_MS) {
      this.setTrouble("timeout", "The seat was not committed in time.");
      this.step({ on: "TIMER" });
    } else if (this.playing && now >= this.silentAtMs()) {
      this.setTrouble("silence", "The node fell silent.");
      this.tryOthersFirst(this.url);
      this.lost(this.main);
    } else if (this.at === "BOTH" && now >= this.heldOpenedMs() + SEAT_MS) {
      this.lost(this.sockets.held);
    }
    if (this.playing) this.askAgain(now);
    this.setDeadline();
  }

  // ------------------------------------------------------------------------------------------- messages

  private async challenged(conn: number, socket: Socket, challenge: Challenge): Promise<void> {
    const fault = await challengeFault(challenge, socket);
    if (this.known.get(conn) !== socket) return; // given up meanwhile
    if (fault !== null) {
      this.setTrouble(...fault);
      this.tryOthersFirst(socket.url);
      this.lost(conn);
      return;
    }
    const { node, nonce } = challenge;
    socket.node = node;
    socket.saidHello = true;
    const { url } = socket;
    const { profile } = this;
    let hello: HelloFields;
    if (socket.ticket) {
      if (!this.login) return;
      const { ms, birth } = this.login;
      hello = { login_ms: ms, url, profile, birth, ticket: socket.ticket };
    } else {
      this.lastLoginMs = Math.max(this.shell.wall(), this.lastLoginMs + 1);
      this.own.push({ ms: this.lastLoginMs, birth: birthOf(node, nonce) });
      if (this.own.length > OWN_LOGINS_MAX) this.own.shift();
      this.owner.login(this.lastLoginMs);
      hello = { login_ms: this.lastLoginMs, url, profile, after: this.after ?? undefined, want: this.pose };
    }
    const signed = await signHello(this.signer, node, nonce, hello, this.grants);
    if (this.known.get(conn) !== socket) return;
    this.shell.send(conn, signed);
    this.follow();
  }

  private welcome(conn: number, welcome: Welcome): void {
    const before = this.sockets;
    const fresh = before.at === "JOINING";
    this.step({ on: "WELCOME", conn });
    if (this.sockets === before) return;
    if (fresh) {
      // a handoff goes on with our own pose and seq, which are ahead of what the new node was told
      this.pose = welcome.pose;
      this.seq = welcome.seq;
      this.logins++;
    } else {
      this.seq = Math.max(this.seq, welcome.seq);
      this.handoffs++;
    }
    this.login = this.after = { ms: welcome.login_ms, birth: welcome.birth };
    this.lastLoginMs = Math.max(this.lastLoginMs, welcome.login_ms);
    this.tickMs = welcome.tick_ms;
    this.ackMs = welcome.t_ms;
    this.heardMs = this.shell.now();
    this.trouble = { code: "", sentence: "" };
    this.attempt = 0;
    this.urls = [...new Set([this.url, ...welcome.urls, ...this.urls])].slice(0, URLS_MAX);
    for (const asked of this.asked.values()) asked.againMs = this.heardMs;
    this.owner.welcomed(welcome, fresh);
    this.askAgain(this.heardMs);
    this.setDeadline();
  }

  private done(done: Done): void {
    const asked = this.asked.get(done.n);
    if (!asked) {
      if (this.pending.delete(done.n)) this.owner.settled(done);
      return;
    }
    if (PASSES.has(done.reason)) {
      asked.againMs = this.shell.now() + ASK_AGAIN_MS;
    } else {
      this.asked.delete(done.n);
      if (done.durable === "pending") {
        this.pending.add(done.n);
        for (const oldest of this.pending) {
          if (this.pending.size <= ASKED_MAX) break;
          this.pending.delete(oldest);
        }
      }
      asked.answer(done);
    }
    this.setDeadline();
  }

  private bye(conn: number, socket: Socket, bye: Bye): void {
    if (bye.code === "elsewhere") {
      const login = { ms: bye.login_ms, birth: bye.birth };
      this.lastLoginMs = Math.max(this.lastLoginMs, bye.login_ms);
      if (this.own.some((one) => one.ms === login.ms && same(one.birth, login.birth))) {
        // our own login, whose WELCOME never reached us: this is what we continue
        if (!this.after || compareLogins(login, this.after) > 0) this.after = login;
      } else if (this.after) {
        this.setTrouble(bye.code, bye.reason);
        this.step({ on: "ELSEWHERE", conn });
        return;
      }
      // else: the person has just asked to be here, and only this device's clock was behind
    } else if (bye.code !== "moved" && bye.code !== "expired") {
      this.setTrouble(bye.code, bye.reason);
    }
    if (conn === this.main && bye.urls.length) {
      this.tryOthersFirst(socket.url);
      this.urls = [...new Set([...bye.urls, ...this.urls])].slice(0, URLS_MAX);
    }
    if (FOR_GOOD.has(bye.code) && conn === this.main) this.step({ on: "ELSEWHERE", conn });
    else this.lost(conn);
  }

  // ------------------------------------------------------------------------------------------- inside

  private know(conn: number, url: string, expect: Uint8Array | null, ticket: Uint8Array | null): void {
    const openedMs = this.shell.now();
    this.known.set(conn, { url, openedMs, expect, ticket, node: null, saidHello: false });
  }

  private heldOpenedMs(): number {
    return this.known.get(this.sockets.held)?.openedMs ?? Number.POSITIVE_INFINITY;
  }

  private lost(conn: number): void {
    if (conn === this.main && this.at === "JOINING") this.tryOthersFirst(this.url);
    this.step({ on: "LOST", conn });
  }

  private step(event: Step): void {
    const was = this.at;
    const [sockets, done] = step(this.sockets, event);
    this.sockets = sockets;
    for (const { what, conn } of done) {
      if (what === "OPEN_MAIN") {
        const url = this.urls[0] as string;
        this.know(conn, url, null, null);
        this.shell.open(conn, url);
      } else if (what === "OPEN_HELD") {
        this.shell.open(conn, this.known.get(conn)?.url as string);
      } else {
        this.known.delete(conn);
        this.shell.close(conn);
      }
    }
    if (this.at !== was) {
      this.sinceMs = this.shell.now();
      if (this.at === "OUT") {
        this.loginAtMs = this.sinceMs + this.backoffMs();
        this.attempt++;
      }
    }
    this.follow();
  }

  /** Until the next attempt: longer each time, and different for each person, so that no herd comes. */
  private backoffMs(): number {
    const longest = BACKOFF_MS[Math.min(this.attempt, BACKOFF_MS.length - 1)] as number;
    const spread = (sha256(Uint8Array.from([...this.signer.public, this.attempt & 255]))[0] as number) / 255;
    return longest * (0.5 + spread / 2);
  }

  /** When the node played on will have been silent for too long. */
  private silentAtMs(): number {
    return this.heardMs + SILENCE_MS + SILENCE_TICKS * this.tickMs;
  }

  /** Brings `posesTo` and the deadline in line with the sockets. */
  private follow(): void {
    const steers = this.playing || this.at === "HELD";
    this.posesTo = [this.sockets.main, this.sockets.held].filter(
      (conn) => steers && this.known.get(conn)?.saidHello,
    );
    this.setDeadline();
  }

  private setDeadline(): void {
    switch (this.at) {
      case "OUT":
        this.deadlineMs = this.loginAtMs;
        break;
      case "JOINING":
        this.deadlineMs = this.sinceMs + JOIN_MS;
        break;
      case "HELD":
        this.deadlineMs = this.sinceMs + HELD_WAIT_MS;
        break;
      case "STOPPED":
        this.deadlineMs = Number.POSITIVE_INFINITY;
        break;
      default: {
        let deadline = this.silentAtMs();
        if (this.at === "BOTH") deadline = Math.min(deadline, this.heldOpenedMs() + SEAT_MS);
        for (const { againMs } of this.asked.values()) deadline = Math.min(deadline, againMs);
        this.deadlineMs = deadline;
      }
    }
    this.owner.changed();
  }

  private askAgain(now: number): void {
    for (const asked of this.asked.values()) {
      if (now < asked.againMs) continue;
      asked.againMs = now + ASK_AGAIN_MS;
      // an act belongs to where it was first asked for, wherever the avatar is by the time it is asked again
      if (asked.kind === Kind.ACT && this.pose && asked.fields.east_cm === undefined) {
        const { east_cm, north_cm } = this.pose;
        asked.fields = { ...asked.fields, east_cm: Math.round(east_cm), north_cm: Math.round(north_cm) };
      }
      this.shell.send(this.main, encodeMessage(asked.kind, asked.fields));
    }
  }

  private tryOthersFirst(url: string): void {
    if (this.urls.length > 1 && this.urls.includes(url))
      this.urls = [...this.urls.filter((other) => other !== url), url];
  }

  private setTrouble(code: string, sentence: string): void {
    this.trouble = { code, sentence };
  }
}

function compareLogins(a: Login, b: Login): number {
  return a.ms - b.ms || compareBytes(a.birth, b.birth);
}

/** Why this challenge is not answered, as a code and a sentence. */
async function challengeFault(challenge: Challenge, socket: Socket): Promise<[string, string] | null> {
  if (socket.saidHello || socket.node) return ["twice", "The node challenged us twice."];
  if (challenge.v !== PROTOCOL)
    return ["version", `The node speaks version ${challenge.v} of the protocol, not ${PROTOCOL}.`];
  if (challenge.url !== socket.url)
    return ["url", `At ${socket.url} answers a node that calls itself ${challenge.url}.`];
  if (socket.expect && !same(challenge.node, socket.expect))
    return ["node", "Another node answers there than the one that keeps our seat."];
  if (!(await verifyChallenge(challenge)))
    return ["signature", "The node's signature does not fit its challenge."];
  return null;
}

export { Malformed };
