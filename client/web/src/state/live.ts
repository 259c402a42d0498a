/**
 * The world as this page knows it: one session, what its frames tell, oneself walking ahead of them, and everything one
 * can wish. Sockets, timers and clocks come from `Surroundings`, so that a test can be the browser.
 */

import { fromHex, toHex } from "../net/bytes";
import { DENSITY, DensityFrame, POSES, PosesFrame } from "../net/frames";
import { avatarId, type Signer, verify } from "../net/keys";
import {
  encodeMessage,
  FIRST_CONTROL_KIND,
  Kind,
  type NodeMessage,
  type Pose,
  type Profile,
  saidFields,
  type Welcome,
  type Done as WireDone,
  type Said as WireSaid,
} from "../net/messages";
import { type Fields, Malformed } from "../net/msgpack";
import { Session, type Shell } from "../net/session";
import { sayInput, signSay } from "../net/sign";
import { Outgoing, People, Words } from "./asking";
import { CityTime, Clock, Tempo } from "./clock";
import { Crowd } from "./crowd";
import { Densities } from "./density";
import { keptChain } from "./kept";
import type { Places } from "./places";
import { Things } from "./things";
import { Walker } from "./walker";
import type {
  Channel,
  Done,
  Events,
  Kind as Kinds,
  Link,
  Person,
  Said,
  SaidRaw,
  World,
  WorldObject,
  WorldView,
} from "./world";

const STILL_MS = 1000; // between two poses of one who stands
const QUIET_MS = 1000; // without a frame one is as good as away
const PING_MS = 10_000;
const BEAT_LEAD_MS = 150; // so much later a beat sounds, so that everybody has it in time
const TEXT_MAX = 300;
const LOOK_MAX = 64;
const RESENT_MAX = 256;
/** Reasons of a correction that takes one elsewhere, as one asked; others put one back. */
const KEPT = new Set(["hang", "note"]); // may wait at the node until the city is whole again
const TAKEN = new Set(["go", "board", "off"]);

/** What a browser is to a world. */
export interface Surroundings extends Omit<Shell, "now"> {
  now(): number;
  /** Calls `world.wake` once, at `ms` of `now`, instead of whenever it was asked before. */
  wakeAt(ms: number): void;
  /** This is the tab that the person wants to be here in. */
  claim(): void;
  /** To be kept for the next visit. */
  keep(name: "lastLogin" | "profile" | "blocked", value: unknown): void;
}

export interface Beginning {
  readonly signer: Signer;
  readonly urls: readonly string[];
  readonly entropy: Uint8Array;
  readonly profile: Profile;
  readonly want: Pose | null;
  readonly lastLoginMs: number;
  /** Avatar ids and the names they had. */
  readonly blocked: Iterable<readonly [number, string]>;
}

type Handler = (news: never) => void;

export class LiveWorld implements World {
  places: Places | null = null;
  readonly blocked: Map<number, string>;

  private readonly session: Session;
  private readonly crowd = new Crowd();
  private readonly densities = new Densities();
  private readonly things = new Things();
  private readonly people = new People();
  private readonly outgoing = new Outgoing();
  private readonly words = new Words();
  private readonly cityTime = new CityTime();
  private readonly clocks = new Map<number, Clock>();
  private tempo = new Tempo(100);
  private readonly poses = new PosesFrame();
  private counted = false; // since the last picture, somebody or something was told of
  private readonly counts = new DensityFrame();
  private readonly handlers = new Map<string, Set<Handler>>();
  private readonly groups = new Set<string>();
  private readonly friends = new Set<number>();
  private untold: Uint8Array[] = []; // what the node one has come to is still to be told
  private walker: Walker | null = null;
  private profileNow: Profile;
  private welcomedOnce = false;
  private stopped: "" | "device" | "tab" | "trouble" = "";
  private linkTold: Link = "joining";
  private regionTold = "";
  private nextPoseMs = 0;
  private sentMs = Number.NEGATIVE_INFINITY;
  private sent: Pose | null = null;
  private pingedMs = Number.NEGATIVE_INFINITY;
  private pinged = false;
  private roundTrip = Number.NaN;
  private sayings = 0;
  private speaking: Promise<unknown> = Promise.resolve();
  private hearing: Promise<unknown> = Promise.resolve();
  private wakeMs = Number.POSITIVE_INFINITY;
  private readonly shown: {
    -readonly [K in keyof WorldView]: WorldView[K];
  };

  constructor(
    private readonly around: Surroundings,
    private readonly beginning: Beginning,
  ) {
    this.profileNow = fitting(beginning.profile, "Guest");
    this.blocked = new Map(beginning.blocked);
    this.session = new Session(
      beginning.signer,
      this.profileNow,
      beginning.urls,
      beginning.entropy,
      around,
      {
        changed: () => this.changed(),
        welcomed: (welcome, fresh) => this.welcomed(welcome, fresh),
        corrected: (pose, reason) => this.corrected(pose, reason),
        settled: (done) => this.emit("settled", toDone(done)),
        said: (message) => this.said(message),
        login: (ms) => around.keep("lastLogin", ms),
      },
      beginning.want,
      beginning.lastLoginMs,
    );
    this.session.grants = keptChain()?.grants ?? [];
    this.shown = {
      count: 0,
      ids: this.crowd.ids,
      east: this.crowd.east,
      north: this.crowd.north,
      up: this.crowd.up,
      yaw: this.crowd.yaw,
      state: this.crowd.state,
      fade: this.crowd.fade,
      density: this.densities.levels,
      me: null,
      objects: this.things.all as ReadonlyMap<string, WorldObject>,
      objectsVersion: 0,
      people: this.people.known as ReadonlyMap<number, Person>,
      serverTime: () => this.serverTime(),
      link: "joining",
      handoffs: 0,
      node: "",
      url: "",
      roundTripMs: Number.NaN,
    };
  }

  // ------------------------------------------------------------------------------------------- looking

  view(nowMs: number): WorldView {
    const { crowd, shown, walker } = this;
    crowd.draw(nowMs, this.session.id, this.blocked);
    if (walker) {
      if (walker.riding && crowd.mine.told)
        walker.carry(crowd.mine.east, crowd.mine.north, crowd.mine.up, crowd.mine.yaw);
      walker.advance(nowMs);
      if (walker.cut()) this.sendPose(nowMs);
    }
    this.densities.expire(nowMs);
    if (this.counted) {
      this.counted = false;
      this.densities.takeOff((visit) => crowd.each(visit));
    }
    this.checkLink();
    shown.count = crowd.count;
    shown.ids = crowd.ids;
    shown.east = crowd.east;
    shown.north = crowd.north;
    shown.up = crowd.up;
    shown.yaw = crowd.yaw;
    shown.state = crowd.state;
    shown.fade = crowd.fade;
    shown.me = walker?.me ?? null;
    shown.objectsVersion = this.things.version;
    shown.link = this.linkTold;
    if (!this.session.playing) shown.node = shown.url = "";
    shown.handoffs = this.session.handoffs;
    shown.roundTripMs = this.roundTrip;
    return shown;
  }

  on<K extends keyof Events>(event: K, handler: (news: Events[K]) => void): () => void {
    let there = this.handlers.get(event);
    if (!there) this.handlers.set(event, (there = new Set()));
    there.add(handler as Handler);
    return () => there.delete(handler as Handler);
  }

  get name(): string {
    return this.profileNow.name;
  }

  get look(): string {
    return this.profileNow.look;
  }

  // ------------------------------------------------------------------------------------------- wishes

  walk(dx: number, dy: number, running: boolean): void {
    this.walker?.walk(dx, dy, running);
  }

  walkTo(east: number, north: number, running = false): void {
    this.walker?.walkTo(east, north, running);
  }

  state(code: number): void {
    this.walker?.state(code, this.around.now());
  }

  say(channel: Channel, text: string, to: string | number = ""): boolean {
    const said = Array.from(text.normalize("NFC").replaceAll("\0", "").trim())
      .slice(0, TEXT_MAX)
      .join("")
      .trim();
    if (!said || !this.session.playing) return false;
    const speech = {
      channel,
      text: said,
      ms: this.words.stamp(this.around.wall()),
      to: channel === "group" ? fromHex(String(to)) : undefined,
      avatar: channel === "direct" ? Number(to) : undefined,
    };
    const n = ++this.sayings;
    // one after the other: signing takes its time, and what is said first is heard first
    this.speaking = this.speaking
      .then(() => signSay(this.beginning.signer, n, speech))
      .then((data) => {
        this.words.say(speech.ms, data, this.around.now());
        this.tell(data);
      });
    return true;
  }

  group(to: string, on: boolean): void {
    const name = fromHex(to);
    if (on) this.groups.add(to);
    else this.groups.delete(to);
    this.tell(encodeMessage(Kind.GROUP, { to: name, on: on ? undefined : false }));
  }

  act(verb: string, text = "", target?: Uint8Array): Promise<Done> {
    const keep = KEPT.has(verb) || undefined;
    const fields: Fields = {
      verb,
      text: text || undefined,
      target: target?.length ? target : undefined,
      keep,
    };
    return this.asked(Kind.ACT, fields);
  }

  go(place: string, friend?: number): void {
    this.tell(encodeMessage(Kind.GO, { place: Array.from(place).slice(0, 40).join(""), avatar: friend }));
  }

  who(ids: Iterable<number>): void {
    this.people.want(ids, this.around.now());
  }

  block(id: number, on: boolean, name = ""): void {
    if (on) this.blocked.set(id, name);
    else this.blocked.delete(id);
    this.around.keep("blocked", [...this.blocked]);
    this.tell(encodeMessage(Kind.BLOCK, { avatar: id, on: on ? undefined : false }));
  }

  befriend(id: number, on: boolean): void {
    if (on) this.friends.add(id);
    else this.friends.delete(id);
    this.untold.push(encodeMessage(Kind.FRIEND, { avatar: id, on: on ? undefined : false }));
    this.wake();
  }

  report(said: Said, why: string): Promise<Done> {
    const fields: Fields = { said: saidFields(said.raw), why: Array.from(why).slice(0, 200).join("") };
    return this.asked(Kind.REPORT, fields);
  }

  beat(voice: number): number {
    const at = Math.round(this.serverTime() + BEAT_LEAD_MS);
    if (Number.isSafeInteger(at)) this.tell(encodeMessage(Kind.BEAT, { at_ms: at, voice: voice & 255 }));
    return at;
  }

  profile(name: string, look: string): void {
    this.profileNow = fitting({ name, look, kind: "person" }, this.profileNow.name);
    this.around.keep("profile", this.profileNow);
    this.session.profile = this.profileNow;
    if (this.walker) this.session.pose = this.walker.pose();
    if (this.session.at === "STOPPED" || this.stopped) return;
    this.session.leave();
    this.session.gesture();
    this.changed();
  }

  gesture(): void {
    const { at } = this.session;
    if (this.stopped) {
      this.stopped = "";
      if (at !== "STOPPED") this.session.leave();
    } else if (at !== "STOPPED" && at !== "OUT") {
      return;
    }
    if (this.walker) this.session.pose = this.walker.pose();
    this.around.claim();
    this.session.gesture();
    this.changed();
  }

  /** A newer tab of this browser has the avatar: stop here, and say so. */
  stopForTab(): void {
    if (this.stopped) return;
    this.stopped = "tab";
    this.session.leave();
    this.changed();
    this.emit("elsewhere", { where: "tab" });
  }

  addUrls(urls: readonly string[]): void {
    this.session.addUrls(urls);
  }

  /** The table of places came. */
  placed(places: Places): void {
    this.places = places;
    if (this.walker) this.walker.walls = places.solidity;
    this.emit("places", places);
  }

  /** Where one stands, to come back to; null before one was anywhere. */
  stands(): Pose | null {
    return this.walker?.pose() ?? null;
  }

  // ------------------------------------------------------------------------------------------- what happens

  /** A whole message came on a socket. Throws `Malformed`. */
  received(conn: number, data: Uint8Array): void {
    const kind = data[0] ?? 0;
    if (kind === POSES) this.frame(conn, data);
    else if (kind === DENSITY) {
      this.counts.read(data);
      if (conn === this.session.main && this.session.playing) {
        this.densities.take(this.counts, this.around.now());
        this.counted = true;
      }
    } else if (kind >= FIRST_CONTROL_KIND) {
      this.session.message(conn, data).catch((error) => {
        if (!(error instanceof Malformed)) throw error;
        this.around.close(conn);
        this.closed(conn);
      });
    }
    this.wake();
  }

  closed(conn: number): void {
    this.clocks.delete(conn);
    this.session.closed(conn);
  }

  /** Everything that is due by now; may be called as often as one likes. */
  wake(): void {
    const now = this.around.now();
    this.wakeMs = Number.NaN; // a timer that rings a moment early must be set again
    this.session.tick();
    const { session, walker } = this;
    if (walker && session.posesTo.length > 0 && now >= this.nextPoseMs) {
      walker.advance(now);
      const tick = session.tickMs;
      this.nextPoseMs += tick * Math.max(1, Math.ceil((now - this.nextPoseMs) / tick)) + session.paceMs;
      session.paceMs = 0;
      if (this.nextPoseMs <= now) this.nextPoseMs += tick;
      if (
        walker.moving ||
        !this.sent ||
        changedPose(this.sent, walker.pose()) ||
        now - this.sentMs >= STILL_MS
      )
        this.sendPose(now);
    }
    if (session.playing) {
      if (now - this.pingedMs >= PING_MS) {
        // who am I: known to the node itself, so its answer's way is the round trip
        this.pingedMs = now;
        this.pinged = true;
        session.tell(encodeMessage(Kind.WHO, { ids: [session.id] }));
      }
      while (this.outgoing.waiting < 4) {
        const wish = this.untold.shift();
        if (!wish) break;
        this.outgoing.put(wish);
      }
      const question = this.outgoing.waiting < 4 ? this.people.question(now) : null;
      if (question) this.outgoing.put(question);
      this.outgoing.flush(now, (data) => session.tell(data));
    }
    this.checkLink();
    this.changed();
  }

  private frame(conn: number, data: Uint8Array): void {
    const { poses, session } = this;
    poses.read(data);
    const clock = this.clocks.get(conn);
    if (conn !== session.main || !clock) return;
    const now = this.around.now();
    clock.heard(poses.tMs, now);
    session.heard(conn, poses.tMs);
    const half = Number.isNaN(this.roundTrip) ? 0 : Math.min(this.roundTrip, 1000) / 2;
    this.cityTime.told(clock.aheadMs + half, now);
    if (poses.tier === 0) this.tempo.heard(poses.tMs);
    this.crowd.take(poses, clock.local(poses.tMs), now, this.tempo.tickMs);
    this.counted = true;
  }

  private welcomed(welcome: Welcome, fresh: boolean): void {
    const { session } = this;
    const conn = session.main;
    const now = this.around.now();
    this.clocks.clear();
    this.clocks.set(conn, new Clock(welcome.t_ms, welcome.time_ms));
    this.tempo = new Tempo(welcome.tick_ms);
    if (fresh) {
      this.things.clear();
      this.densities.clear();
      if (!this.walker) {
        this.walker = new Walker(session.id, welcome.pose, (how) => this.emit("arrived", { how }));
        if (this.places) this.walker.walls = this.places.solidity;
      } else {
        const stood = this.walker.pose();
        const near =
          Math.hypot(stood.east_cm - welcome.pose.east_cm, stood.north_cm - welcome.pose.north_cm) < 500;
        this.walker.put(welcome.pose, !near);
      }
      this.welcomedOnce = true;
      this.nextPoseMs = now;
      this.sent = null;
    }
    this.pingedMs = Number.NEGATIVE_INFINITY;
    const first = (ids: Iterable<number>): number[] => [...ids].slice(0, RESENT_MAX);
    // nobody is welcome before those who are blocked are known
    this.untold = [
      ...[...this.groups].map((to) => encodeMessage(Kind.GROUP, { to: fromHex(to) })),
      ...first(this.blocked.keys()).map((avatar) => encodeMessage(Kind.BLOCK, { avatar })),
      ...first(this.friends).map((avatar) => encodeMessage(Kind.FRIEND, { avatar })),
      ...this.words.again(now),
    ];
    this.changed();
    this.checkLink();
    const node = toHex(session.node ?? new Uint8Array(0)).slice(0, 16);
    this.shown.node = node;
    this.shown.url = session.url;
    const region = `${node} ${welcome.cell}`;
    if (region !== this.regionTold) {
      this.regionTold = region;
      this.emit("region", { node, handoffs: session.handoffs });
    }
  }

  private corrected(pose: Pose, reason: string): void {
    this.walker?.put(pose, TAKEN.has(reason));
    this.sent = null;
    this.emit("correct", { reason });
  }

  private said(message: NodeMessage): void {
    const now = this.around.now();
    switch (message.kind) {
      case Kind.OBJECTS: {
        const { cell, objects, gone, whole } = message.body;
        this.things.told(cell, objects, gone, whole);
        this.emit("objects", null);
        break;
      }
      case Kind.PROFILES: {
        const { ids, profiles } = message.body;
        if (this.pinged && ids.length === 1 && ids[0] === this.session.id) {
          this.pinged = false;
          const took = now - this.pingedMs;
          this.roundTrip = Number.isNaN(this.roundTrip)
            ? took
            : this.roundTrip + (took - this.roundTrip) * 0.3;
        }
        this.people.told(ids, profiles, now);
        this.emit("people", null);
        break;
      }
      case Kind.SAID:
        this.hear(message.body);
        break;
      case Kind.BEAT: {
        const { id, at_ms, voice } = message.body;
        if (!this.blocked.has(id)) this.emit("beat", { id, atMs: at_ms, voice });
        break;
      }
      case Kind.NOTICE:
        if (message.body.code === "pace" && message.body.tick_ms > 0) {
          this.session.tickMs = message.body.tick_ms;
          this.tempo.said(message.body.tick_ms);
        }
        if (message.body.code === "muted" || message.body.code.startsWith("say-")) this.words.refused();
        this.emit("notice", message.body);
    }
  }

  /** Somebody spoke: told on once it is sure that it was they. */
  private hear(said: WireSaid): void {
    if (this.blocked.has(said.id) || avatarId(said.key) !== said.id) return;
    this.hearing = this.hearing
      .then(() => verify(said.key, sayInput(said), said.sig))
      .then((sure) => {
        if (!sure || this.blocked.has(said.id)) return;
        const mine = said.id === this.session.id;
        if (this.words.heard(toHex(said.sig), said.ms, mine)) this.emit("said", heard(said));
      });
  }

  // ------------------------------------------------------------------------------------------- inside

  private serverTime(): number {
    const at = this.cityTime.at(this.around.now());
    return Number.isNaN(at) ? this.around.wall() : at;
  }

  private tell(data: Uint8Array): void {
    this.outgoing.put(data);
    this.outgoing.flush(this.around.now(), (one) => this.session.tell(one));
  }

  private async asked(kind: number, fields: Fields): Promise<Done> {
    const answer = toDone(await this.session.ask(kind, fields));
    this.emit("done", answer);
    return answer;
  }

  private sendPose(now: number): void {
    const { walker, session } = this;
    if (!walker || session.posesTo.length === 0) return;
    const pose = walker.next();
    session.steer(pose);
    this.sent = pose;
    this.sentMs = now;
    this.nextPoseMs = Math.max(this.nextPoseMs, now + session.tickMs / 2);
  }

  private link(): Link {
    const { session } = this;
    if (this.stopped || session.at === "STOPPED") return "stopped";
    if (session.playing && this.around.now() - session.heardMs < QUIET_MS) return "here";
    return this.welcomedOnce ? "back in a moment" : "joining";
  }

  /** Tells what has become of the connection, and why. */
  private checkLink(): void {
    const link = this.link();
    if (link === this.linkTold) return;
    this.linkTold = link;
    const { trouble, at } = this.session;
    if (link === "stopped" && at === "STOPPED" && !this.stopped) {
      if (trouble.code === "elsewhere") {
        this.stopped = "device";
        this.emit("elsewhere", { where: "device" });
      } else this.stopped = "trouble";
    }
    if (link !== "here" && trouble.code && trouble.code !== "elsewhere") this.emit("trouble", trouble);
    this.emit("link", link);
  }

  private changed(): void {
    const session = this.session as Session | undefined; // while that is being made there is none
    if (!session) return;
    let due = session.deadlineMs;
    if (this.walker && session.posesTo.length > 0) due = Math.min(due, this.nextPoseMs);
    if (due === this.wakeMs) return;
    this.wakeMs = due;
    this.around.wakeAt(due);
  }

  private emit<K extends keyof Events>(event: K, news: Events[K]): void {
    for (const handler of this.handlers.get(event) ?? []) (handler as (news: Events[K]) => void)(news);
  }
}

function changedPose(a: Pose, b: Pose): boolean {
  return (
    a.east_cm !== b.east_cm ||
    a.north_cm !== b.north_cm ||
    a.yaw !== b.yaw ||
    a.state !== b.state ||
    a.up !== b.up
  );
}

/** A profile as the protocol has it: a name of 1 to 32 characters (else `otherwise`), a look of at most 64 (else none). */
function fitting(profile: Profile, otherwise: string): Profile {
  const name = Array.from(String(profile.name).normalize("NFC").replaceAll("\0", "").trim())
    .slice(0, 32)
    .join("");
  const look = String(profile.look ?? "").replaceAll("\0", "");
  const fits = Array.from(look).length <= LOOK_MAX;
  return { name: name.trim() || otherwise, look: fits ? look : "", kind: "person" };
}

function toDone(done: WireDone): Done {
  return { ...done, durable: done.durable as Done["durable"] };
}

function heard(said: WireSaid): Said {
  const raw: SaidRaw = said;
  return {
    id: said.id,
    name: said.name,
    kind: said.kind as Kinds,
    channel: said.channel as Channel,
    to: toHex(said.to),
    text: said.text,
    ms: said.ms,
    east: said.east_cm / 100,
    north: said.north_cm / 100,
    raw,
  };
}
