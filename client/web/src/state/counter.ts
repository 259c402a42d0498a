/**
 * The counter of a place as its numbers tell it: who waits, who was called, which number is one's own.
 *
 * The rules are the node's (`world/counter.py`); a number that was called keeps standing there until the next day.
 */

import type { WorldObject } from "./world";

const REACH_M = 40; // numbers lie where the counter stands, in a room of less than that

/** One number. */
export interface Ticket {
  readonly id: Uint8Array;
  readonly number: number;
  /** The avatar that drew it. */
  readonly by: number;
  /** The avatar that called it; 0: nobody yet. */
  readonly calledBy: number;
  readonly atMs: number;
}

/** All numbers of a counter. */
export interface Queue {
  /** In the order in which they are called. */
  readonly waiting: readonly Ticket[];
  /** The latest first. */
  readonly called: readonly Ticket[];
  /** One's own: the one that waits, or that was called last. */
  readonly mine: Ticket | null;
  /** How many are before one's own that waits. */
  readonly before: number;
}

/** The queue of the counter that stands at a point. */
export function queueAt(
  objects: Iterable<WorldObject>,
  at: { readonly east: number; readonly north: number },
  me: number,
): Queue {
  const tickets: Ticket[] = [];
  for (const one of objects) {
    if (one.kind !== "ticket" || Math.hypot(one.east - at.east, one.north - at.north) > REACH_M) continue;
    const calledBy = /^[1-9][0-9]{0,15}$/.test(one.text) ? Number(one.text) : 0;
    tickets.push({ id: one.id, number: one.count, by: one.by, calledBy, atMs: one.atMs });
  }
  const waiting = tickets.filter((one) => one.calledBy === 0).sort((a, b) => a.number - b.number);
  const called = tickets.filter((one) => one.calledBy !== 0).sort((a, b) => b.atMs - a.atMs);
  const mine = waiting.find((one) => one.by === me) ?? called.find((one) => one.by === me) ?? null;
  return { waiting, called, mine, before: Math.max(0, mine === null ? 0 : waiting.indexOf(mine)) };
}
