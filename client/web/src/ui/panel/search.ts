/** Finding a place, a landmark, a stop or a friend by any of their names, and going there. */

import type { Point } from "../../state/places";
import { named, say } from "../../words";
import { cleanName } from "../../words/clean";
import { button, el } from "../dom";
import type { Sheet } from "./sheet";

export function search(sheet: Sheet): HTMLElement {
  const { page } = sheet;
  const list = el("div", { class: "found" });
  const input = el("input", {
    class: "foreign",
    label: say("search"),
    attributes: { type: "search", placeholder: say("searchHint"), dir: "auto" },
  });
  const go = (name: string, text: string): void => {
    void page.goTo(name, text);
    sheet.close();
  };
  const row = (text: string, detail: string, run: () => void): HTMLElement =>
    el(
      "li",
      {},
      button(text, run, { class: "row-button foreign" }),
      el("span", { class: "detail", text: detail }),
    );
  const group = (title: string, rows: HTMLElement[]): HTMLElement | null =>
    rows.length === 0
      ? null
      : el("section", {}, el("h3", { text: title }), el("ul", { class: "rows" }, ...rows));
  const fill = (): void => {
    const wanted = input.value.trim().toLocaleLowerCase();
    const fits = (...names: (string | undefined)[]): boolean =>
      wanted === "" || names.some((name) => name?.toLocaleLowerCase().includes(wanted));
    const places = page.world.places?.all ?? [];
    const known = new Set(places.flatMap((place) => Object.values(place.name)));
    const placeRows = nearestFirst(
      sheet,
      places.filter((place) => fits(place.id, ...Object.values(place.name))),
      (place) => (place.ground === "city" ? place.middle : null),
    ).map(([place, away]) => row(named(place.name), away, () => go(place.id, named(place.name))));
    const landmarkRows = nearestFirst(
      sheet,
      (page.city?.landmarks ?? []).filter(
        (spot) =>
          !known.has(spot.name.ko ?? "") &&
          !known.has(spot.name.en ?? "") &&
          fits(spot.name.ko, spot.name.en),
      ),
      (spot) => spot,
    ).map(([spot, away]) => row(named(spot.name), away, () => go(spot.name.en ?? "", named(spot.name))));
    const friendRows = [...page.remembered.friends]
      .filter(([, name]) => fits(name))
      .map(([id, kept]) => {
        const name = cleanName(kept, "…");
        const one = row(name, "", () => {
          void page.goToFriend(id, name);
          sheet.close();
        });
        one.append(button(say("aboutThem"), () => page.person(id), { label: say("aboutFriend", { name }) }));
        return one;
      });
    const stopRows = nearestFirst(
      sheet,
      (page.city?.stops ?? [])
        .slice(0, -1)
        .filter((stop) => wanted !== "" && fits(stop.name.ko, stop.name.en)),
      (stop) => stop,
    ).map(([stop, away]) =>
      row(named(stop.name), away, () => {
        page.camera.lookAt(stop.east, stop.north);
        sheet.close();
      }),
    );
    const groups = [
      group(say("friends"), friendRows),
      group(say("places"), placeRows),
      group(say("landmarks"), landmarkRows),
      group(say("stops"), stopRows),
    ].filter((one) => one !== null);
    list.replaceChildren(...(groups.length === 0 ? [el("p", { text: say("noneFound") })] : groups));
  };
  input.addEventListener("input", fill);
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    list.querySelector("button")?.click();
  });
  sheet.body.append(input, el("p", { class: "hint", text: say("searchGo") }), list);
  fill();
  return input;
}

/** Each with how far it is, the nearest first; those that are nowhere in the city, rooms, come last. */
function nearestFirst<T>(sheet: Sheet, all: readonly T[], at: (one: T) => Point | null): [T, string][] {
  const { me } = sheet.page.view;
  const away = (one: T): number => {
    const point = at(one);
    return point === null || me === null
      ? Number.POSITIVE_INFINITY
      : Math.hypot(point.east - me.east, point.north - me.north);
  };
  return all
    .map((one) => [one, away(one)] as const)
    .sort((a, b) => (a[1] === b[1] ? 0 : a[1] - b[1]))
    .map(([one, metres]) => [one, distance(metres)]);
}

function distance(metres: number): string {
  if (!Number.isFinite(metres)) return "";
  return metres < 950 ? `${Math.round(metres / 10) * 10} m` : `${(metres / 1000).toFixed(1)} km`;
}
