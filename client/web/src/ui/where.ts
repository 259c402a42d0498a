/** Where one is and who is near, in words: for the header, the view in words, and whoever listens instead of looking. */

import { type GuShape, guAt } from "../draw/city";
import { named, say } from "../words";
import { cleanName } from "../words/clean";
import type { Page } from "./page";

const ASKED_AT_ONCE = 64;
/** How near is near: as far as one hears. */
export const NEAR_M = 30;
export const AROUND_M = 64;

export interface Around {
  readonly people: number;
  readonly programs: number;
  /** Told of, but not yet known who. */
  readonly unknown: number;
  /** Counted in the crowd beyond. */
  readonly crowd: number;
  /** The nearest, nearest first. */
  readonly nearest: readonly {
    readonly id: number;
    readonly away: number;
    readonly name: string;
    readonly program: boolean;
  }[];
}

/** Who is within `reach` metres of oneself; people and programs apart. */
export function around(page: Page, reach = AROUND_M, most = 60): Around {
  const { view, world } = page;
  const me = view.me;
  let people = 0;
  let programs = 0;
  let unknown = 0;
  const near: { id: number; away: number; name: string; program: boolean }[] = [];
  if (me !== null) {
    for (let i = 0; i < view.count; i++) {
      const away = Math.hypot(view.east[i] - me.east, view.north[i] - me.north);
      const id = view.ids[i];
      if (away > reach || view.fade[i] < 0.5 || world.blocked.has(id)) continue;
      const person = view.people.get(id);
      if (person === undefined) unknown += 1;
      else if (person.kind === "person") people += 1;
      else programs += 1;
      near.push({
        id,
        away,
        name: cleanName(person?.name, "…"),
        program: person !== undefined && person.kind !== "person",
      });
    }
  }
  near.sort((a, b) => a.away - b.away);
  let crowd = 0;
  for (const density of view.density) {
    for (let i = 0; i < density.count; i++) crowd += density.people[i];
  }
  return { people, programs, unknown, crowd, nearest: near.slice(0, most) };
}

/** Whose names to ask for: those not known yet before those who may have another by now, the nearest first. */
export function toAskAbout(page: Page): number[] {
  const { view, camera } = page;
  const near: [boolean, number, number][] = [];
  for (let i = 0; i < view.count; i++) {
    const id = view.ids[i];
    near.push([
      view.people.has(id),
      Math.hypot(view.east[i] - camera.east, view.north[i] - camera.north),
      id,
    ]);
  }
  near.sort((a, b) => Number(a[0]) - Number(b[0]) || a[1] - b[1]);
  return near.slice(0, ASKED_AT_ONCE).map((one) => one[2]);
}

export interface Where {
  readonly place: string;
  readonly gu: string;
  readonly shape: GuShape | null;
}

export function where(page: Page): Where {
  const me = page.view.me;
  if (me === null) return { place: "", gu: "", shape: null };
  const place = page.placeHere();
  const shape = page.city === null ? null : guAt(page.city, me.east, me.north);
  const gu = shape === null ? say("outside") : named(shape.name);
  if (place !== null) return { place: named(place.name), gu: place.ground === "city" ? gu : "", shape };
  const close = nearestSpot(page);
  return { place: close !== null && close.away < 120 ? close.name : "", gu, shape };
}

interface Near {
  readonly name: string;
  readonly away: number;
  readonly way: string;
}

/** The nearest place or landmark that one is not in. */
export function nearestSpot(page: Page): Near | null {
  const me = page.view.me;
  if (me === null) return null;
  const here = page.placeHere();
  const names = new Set(Object.values(here?.name ?? {}));
  let best: Near | null = null;
  const consider = (name: string, east: number, north: number): void => {
    const away = Math.hypot(east - me.east, north - me.north);
    if (name === "" || (best !== null && best.away <= away)) return;
    best = { name, away, way: direction(east - me.east, north - me.north) };
  };
  for (const place of page.world.places?.all ?? []) {
    if (place !== here && place.ground === "city")
      consider(named(place.name), place.middle.east, place.middle.north);
  }
  for (const spot of page.city?.landmarks ?? []) {
    if (!names.has(spot.name.ko ?? "") && !names.has(spot.name.en ?? ""))
      consider(named(spot.name), spot.east, spot.north);
  }
  return best;
}

function direction(east: number, north: number): string {
  const names = say("directions").split(" ");
  const eighth = Math.round(((Math.atan2(east, north) / (2 * Math.PI)) * 8 + 8) % 8) % 8;
  return names[eighth];
}

/** Sentences that say where one is and who is near. */
export function describe(page: Page): string[] {
  const { place, gu } = where(page);
  const lines: string[] = [];
  if (place !== "" && gu !== "") lines.push(say("youAreAt", { place, gu }));
  else lines.push(say("youAreIn", { gu: place || gu }));
  const close = nearestSpot(page);
  if (close !== null && close.away < 4000) {
    lines.push(
      say("nearestPlace", { place: close.name, way: close.way, metres: Math.round(close.away / 5) * 5 }),
    );
  }
  return lines;
}

export function describePeople(page: Page): string[] {
  const near = around(page, NEAR_M);
  if (near.nearest.length === 0) return [say("nobody")];
  const lines = [say("nearPeople", { people: near.people, programs: near.programs })];
  const names = near.nearest.filter((one) => one.name !== "…").slice(0, 3);
  if (names.length > 0) lines.push(say("nearNames", { names: names.map((one) => one.name).join(", ") }));
  return lines;
}
