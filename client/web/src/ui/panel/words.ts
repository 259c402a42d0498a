/** The picture in words: where one is, who is near, what hangs and was said here. */

import { named, say } from "../../words";
import { clean, cleanName, WISH_SHOWN } from "../../words/clean";
import { button, clear, el } from "../dom";
import { describe, describePeople } from "../where";
import type { Sheet } from "./sheet";

export function words(sheet: Sheet): void {
  const { page } = sheet;
  clear(sheet.body);
  for (const line of [...describe(page), ...describePeople(page)]) sheet.body.append(el("p", { text: line }));
  const me = page.view.me;
  const place = page.placeHere();
  if (place !== null && named(place.about) !== "") sheet.body.append(el("p", { text: named(place.about) }));
  for (const portal of place?.portals ?? []) {
    const to = named(page.world.places?.byId.get(portal.to)?.name ?? portal.name);
    const name = say("portal", { name: named(portal.name) });
    sheet.body.append(button(name, () => void page.goTo(portal.to, to)));
  }
  if (me === null) return;
  const wishes = [...page.view.objects.values()]
    .filter((object) => object.kind === "lantern" && object.text !== "")
    .map((object) => ({ object, away: Math.hypot(object.east - me.east, object.north - me.north) }))
    .filter(({ away }) => away < 80)
    .sort((a, b) => a.away - b.away)
    .slice(0, 8);
  if (wishes.length > 0) {
    const list = el("ul", { class: "rows" });
    for (const { object, away } of wishes) {
      list.append(
        el(
          "li",
          {},
          el("span", { foreign: clean(object.text, WISH_SHOWN) }),
          el("span", { class: "detail", text: `${Math.round(away)} m` }),
        ),
      );
    }
    sheet.body.append(el("h3", { text: say("wishesNear") }), list);
  }
  const last = page.heard.slice(-6);
  if (last.length > 0) {
    const list = el("ul", { class: "rows" });
    for (const said of last) {
      if (page.world.blocked.has(said.id)) continue;
      list.append(
        el(
          "li",
          {},
          el("strong", { foreign: cleanName(said.name, "…") }),
          el("span", { foreign: clean(said.text, 160) }),
        ),
      );
    }
    sheet.body.append(el("h3", { text: say("chat") }), list);
  }
}
