/** Finding a place, a landmark, a stop or a friend by any of their names, and going there. */

import type { Place } from "../../state/places";
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
    const placeRows = places
      .filter((place) => fits(place.id, ...Object.values(place.name)))
      .map((place) =>
        row(named(place.name), place.ground === "city" ? far(sheet, place) : "", () =>
          go(place.id, named(place.name)),
        ),
      );
    const landmarkRows = (page.city?.landmarks ?? [])
      .filter(
        (spot) =>
          !known.has(spot.name.ko ?? "") &&
          !known.has(spot.name.en ?? "") &&
          fits(spot.name.ko, spot.name.en),
      )
      .map((spot) => row(named(spot.name), "", () => go(spot.name.en ?? "", named(spot.name))));
    const friendRows = [...page.remembered.friends]
      .filter(([, name]) => fits(name))
      .map(([id, name]) => row(cleanName(name, "…"), "", () => go(`friend:${id}`, cleanName(name, "…"))));
    const stopRows = (page.city?.stops ?? [])
      .slice(0, -1)
      .filter((stop) => wanted !== "" && fits(stop.name.ko, stop.name.en));
    const groups = [
      group(say("friends"), friendRows),
      group(say("places"), placeRows),
      group(say("landmarks"), landmarkRows),
      group(
        say("stops"),
        stopRows.map((stop) =>
          row(named(stop.name), "", () => {
            page.camera.lookAt(stop.east, stop.north);
            sheet.close();
          }),
        ),
      ),
    ].filter((one) => one !== null);
    list.replaceChildren(...(groups.length === 0 ? [el("p", { text: say("noneFound") })] : groups));
  };
  input.addEventListener("input", fill);
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    list.querySelector("button")?.click();
  });
  sheet.body.append(input, el("p", { class: "hint", text: say("goHere") }), list);
  fill();
  return input;
}

function far(sheet: Sheet, place: Place): string {
  const me = sheet.page.view.me;
  if (me === null) return "";
  const away = Math.hypot(place.middle.east - me.east, place.middle.north - me.north);
  return away < 950 ? `${Math.round(away / 10) * 10} m` : `${(away / 1000).toFixed(1)} km`;
}
