/** Things one does in the city that take one somewhere first: hanging a lantern, striking the bell, riding the bus. */

import type { Spot } from "../draw/city";
import type { Place, Point, Programme } from "../state/places";
import { RIDE } from "../state/world";
import { type Key, named, say, told } from "../words";
import { clean, cleanName, WISH_SHOWN } from "../words/clean";
import { GWANGHWAMUN, type Page } from "./page";

/** Where one waits beside a bus, and from how far one may board (the nodes' bound is 15 m). */
const KERB_M = 4;
const BOARD_M = 13;
/** Half the length of a bus, and what a rider's place is behind. */
const BUS_M = 8;

export class Doing {
  /** The stop where one waits for the bus. */
  private waiting: Spot | null = null;

  /** One wants to get off the bus. */
  private leaving = false;

  constructor(private readonly page: Page) {}

  /** Tells what a thing in the picture says; false if it says nothing. */
  read(key: string): boolean {
    const { view } = this.page;
    const object = view.objects.get(key);
    if (object?.kind === "lantern" && object.text !== "") {
      const by = view.people.get(object.by)?.name;
      const wish = clean(object.text, WISH_SHOWN);
      this.page.toast(by === undefined ? `“${wish}”` : `“${wish}” — ${cleanName(by, "…")}`);
    } else if (object?.kind === "bell") this.page.toast(say("strikes", { count: object.count }));
    else if (object?.kind === "note") this.page.open("board");
    else return false;
    return true;
  }

  hang(): void {
    const there = this.goWhere(this.placeWith(/lantern/), "Cheonggyecheon Plaza");
    const wish = this.page.ask(
      say("hangLantern"),
      say("wishHint"),
      say("wish"),
      say("hangLantern"),
      WISH_SHOWN,
    );
    void wish.then((text) => {
      if (text === null) return;
      this.page.toast(say("pending"));
      void this.once(there, "hung", "hang", text);
    });
  }

  ring(): void {
    const { places } = this.page.world;
    const place = this.placeWith(/bell/);
    const here = place === null || place.id === this.page.placeHere()?.id;
    const rehearsal = places?.programmes.find((one) => one.rehearsal && one.place === place?.id);
    if (!here && rehearsal !== undefined) this.rehearse(rehearsal);
    else void this.once(this.goWhere(place, "Bosingak"), "struck", "ring");
  }

  rehearse(programme: Programme): void {
    const place = this.page.world.places?.byId.get(programme.place) ?? null;
    void this.once(this.goWhere(place, programme.place), "rehearsalOn", "start", programme.id);
  }

  /** Goes to the nearest stop to ride from there; aboard, gets off at the next one; asked again, does not. */
  bus(): void {
    const { view } = this.page;
    if (view.me?.state === RIDE) {
      this.leaving = !this.leaving;
      if (!this.leaving) this.page.toast(say("staysOn"));
      else if (this.standsAt(view.me)) this.page.world.go("off");
      else this.page.toast(say("offNext"));
      return;
    }
    if (this.waiting !== null) {
      this.waiting = null;
      this.page.toast(say("busForgotten"));
      return;
    }
    const me = view.me;
    const stops = this.page.city?.stops ?? [];
    if (me === null || stops.length === 0) {
      this.page.world.go("bus");
      return;
    }
    const away = (stop: Point): number => Math.hypot(stop.east - me.east, stop.north - me.north);
    this.waiting = stops.reduce((best, stop) => (away(stop) < away(best) ? stop : best));
    this.page.toast(say("toStop", { stop: named(this.waiting.name) }));
    this.page.camera.following = true;
    this.page.world.walkTo(this.waiting.east + KERB_M, this.waiting.north, true);
  }

  /** Boards as soon as a bus stands where one waits for it, and gets off as soon as it stands. */
  board(): void {
    const { waiting } = this;
    const { me } = this.page.view;
    if (me === null) return;
    if (me.state === RIDE) {
      if (waiting !== null) this.page.toast(say("boarded"));
      this.waiting = null;
      if (this.leaving && this.standsAt(me)) this.page.world.go("off");
      return;
    }
    this.leaving = false;
    if (waiting === null || Math.hypot(waiting.east - me.east, waiting.north - me.north) > BOARD_M) return;
    if (this.standsAt(waiting)) this.page.world.go("bus");
  }

  /** Whether a bus stands at a stop near this point. */
  private standsAt(point: Point): boolean {
    const buses = this.page.city?.buses.at(this.page.view.serverTime()) ?? [];
    return buses.some(
      (bus) => bus.stands && Math.hypot(bus.east - point.east, bus.north - point.north) < BUS_M,
    );
  }

  /** The nearest place with a feature whose kind fits. */
  private placeWith(kind: RegExp): Place | null {
    const me = this.page.view.me ?? GWANGHWAMUN;
    const all = (this.page.world.places?.all ?? []).filter((place) =>
      place.features.some((feature) => kind.test(feature.kind)),
    );
    const away = (place: Place): number =>
      Math.hypot(place.middle.east - me.east, place.middle.north - me.north);
    all.sort((a, b) => away(a) - away(b));
    return all[0] ?? null;
  }

  /**
   * Takes one to `place` unless one is there; whether one stands there in the end. When the table of places has not come
   * one goes `otherwise`; when it has, but holds no such place, one stays, and the node says what it thinks of that.
   */
  private goWhere(place: Place | null, otherwise: string): Promise<boolean> {
    if (place !== null && place.id !== this.page.placeHere()?.id)
      return this.page.goTo(place.id, named(place.name));
    const known = (this.page.world.places?.all.length ?? 0) > 0;
    return place !== null || known ? Promise.resolve(true) : this.page.goTo(otherwise, otherwise);
  }

  /** Does it as soon as one stands where it is done, and tells what has come of it. */
  private async once(there: Promise<boolean>, good: Key, verb: string, text = ""): Promise<void> {
    if (!(await there)) return;
    const done = await this.page.world.act(verb, text);
    if (done.durable === "") this.page.toast(told(done.reason, done.sentence));
    else this.page.toast(say(done.durable === "pending" ? "kept" : good));
  }
}
