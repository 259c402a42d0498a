/**
 * Who are these? Asked once for everybody seen, many at a time, and kept. Also what else goes out without an answer:
 * never more at once than a node takes from one client.
 */

import { encodeMessage, Kind, type Profile } from "../net/messages";
import type { Kind as Kinds, Person } from "./world";

const IDS_PER_WHO = 64;
const PEOPLE_MAX = 4096;
const AGAIN_MS = 5000; // unanswered
const STALE_MS = 8_000; // people change their names and looks, the newly come within seconds
const PER_S = 8; // a node takes 10 a second
const BURST = 20;
const QUEUE_MAX = 64;
const WORDS_AGAIN_MS = 10_000; // what was said longer ago would be out of place
const WORDS_MAX = 8; // not yet heard
const HEARD_MAX = 256; // remembered, so that what a speaker said twice is heard once
const KINDS = new Set(["person", "program", "ai"]);

export class People {
  readonly known = new Map<number, Person>();
  private readonly toldMs = new Map<number, number>();
  private readonly askedMs = new Map<number, number>();
  private readonly wanted = new Set<number>();

  /** Wants to know who these are. */
  want(ids: Iterable<number>, nowMs: number): void {
    for (const id of ids) {
      if (!Number.isSafeInteger(id) || id <= 0 || this.wanted.size >= PEOPLE_MAX) continue;
      const told = this.toldMs.get(id) ?? Number.NEGATIVE_INFINITY;
      const asked = this.askedMs.get(id) ?? Number.NEGATIVE_INFINITY;
      if (nowMs - told > STALE_MS && nowMs - asked > AGAIN_MS) this.wanted.add(id);
    }
  }

  /** The next question, or null. */
  question(nowMs: number): Uint8Array | null {
    if (this.wanted.size === 0) return null;
    const ids: number[] = [];
    for (const id of this.wanted) {
      if (ids.push(id) === IDS_PER_WHO) break;
    }
    for (const id of ids) {
      this.wanted.delete(id);
      this.askedMs.delete(id); // the latest asked is the last of the map
      this.askedMs.set(id, nowMs);
    }
    trim(this.askedMs);
    return encodeMessage(Kind.WHO, { ids });
  }

  /** The node answers. */
  told(ids: readonly number[], profiles: readonly Profile[], nowMs: number): void {
    ids.forEach((id, i) => {
      const profile = profiles[i];
      if (!profile) return;
      this.known.delete(id);
      this.known.set(id, {
        id,
        name: profile.name,
        look: profile.look,
        kind: (KINDS.has(profile.kind) ? profile.kind : "program") as Kinds,
      });
      this.toldMs.delete(id);
      this.toldMs.set(id, nowMs);
      this.wanted.delete(id);
    });
    trim(this.known);
    trim(this.toldMs);
  }
}

/** Messages that need no answer, at a pace that a node takes; what is more than it will ever take is dropped. */
export class Outgoing {
  private readonly queue: Uint8Array[] = [];
  private tokens = BURST;
  private filledMs = 0;

  put(data: Uint8Array): boolean {
    if (this.queue.length >= QUEUE_MAX) return false;
    this.queue.push(data);
    return true;
  }

  get waiting(): number {
    return this.queue.length;
  }

  clear(): void {
    this.queue.length = 0;
  }

  /** Sends what may be sent at `nowMs`; `send` says whether anybody listens. */
  flush(nowMs: number, send: (data: Uint8Array) => boolean): void {
    this.tokens = Math.min(BURST, this.tokens + ((nowMs - this.filledMs) * PER_S) / 1000);
    this.filledMs = nowMs;
    while (this.tokens >= 1 && this.queue.length > 0 && send(this.queue[0] as Uint8Array)) {
      this.queue.shift();
      this.tokens--;
    }
  }
}

/**
 * What this person says, until they hear it themselves as all others do, or are told why nobody does. Whoever changes
 * nodes in that moment may have said it to a node that had just given them up: it is said again at the next one, with the
 * same signature, by which whoever has heard it the first time knows it.
 */
export class Words {
  private readonly open = new Map<number, { data: Uint8Array; untilMs: number }>(); // by when it was said; oldest first
  private readonly known = new Set<string>();
  private saidMs = 0;

  /** The time under which it is said: no two in one millisecond, so that the same words said twice are heard twice. */
  stamp(wallMs: number): number {
    this.saidMs = Math.max(wallMs, this.saidMs + 1);
    return this.saidMs;
  }

  /** What is stamped `ms` is being said. */
  say(ms: number, data: Uint8Array, nowMs: number): void {
    this.open.set(ms, { data, untilMs: nowMs + WORDS_AGAIN_MS });
    this.forgetFirst(this.open.size - WORDS_MAX);
  }

  /** Words with this signature are heard, which were `mine` or another's; whether for the first time. */
  heard(sig: string, ms: number, mine: boolean): boolean {
    if (mine) this.open.delete(ms);
    if (this.known.has(sig)) return false;
    this.known.add(sig);
    if (this.known.size > HEARD_MAX) {
      for (const oldest of this.known) {
        this.known.delete(oldest);
        break;
      }
    }
    return true;
  }

  /** The node says why the first of them is not heard; it answers in order. */
  refused(): void {
    this.forgetFirst(1);
  }

  /** What is to be said to a node that is new to us. */
  again(nowMs: number): Uint8Array[] {
    for (const [ms, { untilMs }] of this.open) if (untilMs <= nowMs) this.open.delete(ms);
    return [...this.open.values()].map(({ data }) => data);
  }

  private forgetFirst(count: number): void {
    let left = count;
    for (const ms of this.open.keys()) {
      if (left-- <= 0) break;
      this.open.delete(ms);
    }
  }
}

function trim(map: Map<number, unknown>): void {
  for (const key of map.keys()) {
    if (map.size <= PEOPLE_MAX) break;
    map.delete(key);
  }
}
