/** What people say and sound: the last words heard, bubbles over heads, drum beats and strokes of the bell. */

import type { Bubble, Pulse } from "../draw/renderer";
import type { Point } from "../state/places";
import type { Said } from "../state/world";
import { say } from "../words";
import { cleanName } from "../words/clean";
import type { Page } from "./page";

const BUBBLE_MS = 7000;
const HEARD_MAX = 200;
const PULSES_MAX = 400;
const PULSE_MS = 6000;
/** How far a drum and a bell are heard. */
const HEARD_M = { beat: 90, bell: 1500 } as const;

export class Sounding {
  /** The latest words, newest last. */
  readonly heard: Said[] = [];
  readonly bubbles = new Map<number, Bubble>();
  pulses: Pulse[] = [];
  /** How often each bell had been struck, by where it hangs. */
  private readonly bells = new Map<string, number>();
  /** Who has called one's own numbers, as far as one was told. */
  private readonly tickets = new Map<string, string>();

  constructor(private readonly page: Page) {
    const { world } = page;
    world.on("said", (said) => {
      if (page.world.blocked.has(said.id) || page.remembered.muted.has(said.id)) return;
      this.heard.push(said);
      if (this.heard.length > HEARD_MAX) this.heard.shift();
      if (said.channel === "near" || said.channel === "place") {
        this.bubbles.set(said.id, { text: said.text, until: performance.now() + BUBBLE_MS });
      }
    });
    world.on("beat", ({ id, atMs, voice }) => {
      const at = this.placeOf(id);
      if (at === null || page.world.blocked.has(id)) return;
      this.pulse({ ...at, atMs, kind: "beat", voice });
      page.sound.drum(atMs - page.view.serverTime(), voice, this.loudness(at, HEARD_M.beat));
    });
    world.on("objects", () => {
      this.rung();
      this.called();
    });
  }

  /** Bubbles that have been read go. */
  fade(nowMs: number): void {
    for (const [id, bubble] of this.bubbles) if (bubble.until < nowMs) this.bubbles.delete(id);
  }

  private placeOf(id: number): Point | null {
    const { view } = this.page;
    if (view.me !== null && (id === view.me.id || id === 0))
      return { east: view.me.east, north: view.me.north };
    for (let i = 0; i < view.count; i++) {
      if (view.ids[i] === id) return { east: view.east[i], north: view.north[i] };
    }
    return null;
  }

  private loudness(at: Point, reach: number): number {
    const me = this.page.view.me;
    if (me === null) return 0;
    return Math.max(0, 1 - Math.hypot(at.east - me.east, at.north - me.north) / reach) ** 1.5;
  }

  private pulse(pulse: Pulse): void {
    const now = this.page.view.serverTime();
    this.pulses = this.pulses.filter((old) => now - old.atMs < PULSE_MS).slice(-PULSES_MAX);
    this.pulses.push(pulse);
  }

  /** A bell whose count grew was struck. */
  private rung(): void {
    for (const object of this.page.view.objects.values()) {
      if (object.kind !== "bell") continue;
      this.strike({ east: object.east, north: object.north }, object.count, false);
    }
  }

  /** The bell of the place where one is was struck, on ground that one does not see. */
  struck(count: number): void {
    const line = this.page.placeHere()?.features.find((feature) => feature.kind === "bell")?.line;
    if (line !== undefined && Number.isSafeInteger(count))
      this.strike({ east: line[0], north: line[1] }, count, true);
  }

  /** One's own number was called: said once, also to who has the panel closed. */
  private called(): void {
    const { view } = this.page;
    for (const ticket of view.objects.values()) {
      if (ticket.kind !== "ticket" || ticket.by !== view.me?.id) continue;
      const before = this.tickets.get(ticket.key);
      this.tickets.set(ticket.key, ticket.text);
      if (ticket.text === "" || before !== "") continue;
      const name = cleanName(view.people.get(Number(ticket.text))?.name ?? "", "…");
      this.page.toast(say("counterYours", { number: ticket.count, name }));
      this.page.sound.chime();
    }
  }

  /** What is seen for the first time need not have been struck just now; what one is told of was. */
  private strike(at: Point, count: number, now: boolean): void {
    const where = `${Math.round(at.east)} ${Math.round(at.north)}`;
    const before = this.bells.get(where) ?? (now ? 0 : count);
    this.bells.set(where, Math.max(before, count));
    if (count <= before) return;
    this.pulse({ ...at, atMs: this.page.view.serverTime(), kind: "bell", voice: 0 });
    this.page.sound.bell(0, this.loudness(at, HEARD_M.bell));
  }
}
