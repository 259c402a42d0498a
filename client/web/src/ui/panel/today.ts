/** The day's programmes, under way or to come, with a way there and rehearsals. */

import { dayAndTime, named, say } from "../../words";
import { button, el } from "../dom";
import type { Sheet } from "./sheet";

export function today(sheet: Sheet): void {
  const { page } = sheet;
  const now = page.view.serverTime();
  const programmes = [...(page.world.places?.programmes ?? [])].sort(
    (a, b) =>
      (Number.isNaN(a.nextMs) ? Number.MAX_VALUE : a.nextMs) -
      (Number.isNaN(b.nextMs) ? Number.MAX_VALUE : b.nextMs),
  );
  if (programmes.length === 0) sheet.body.append(el("p", { text: say("noProgramme") }));
  for (const programme of programmes) {
    const place = page.world.places?.byId.get(programme.place);
    const on = programme.nextMs <= now && now < programme.nextMs + programme.durationS * 1000;
    const minutes = Math.round((programme.nextMs - now) / 60_000);
    const when = Number.isNaN(programme.nextMs)
      ? ""
      : on
        ? say("onNow")
        : minutes < 90
          ? say("startsIn", { minutes })
          : say("startsAt", { time: dayAndTime(programme.nextMs) });
    const box = el(
      "article",
      { class: `programme${on ? " on" : ""}` },
      el("h3", { text: named(programme.name) }),
      el("p", {
        class: "detail",
        text: [place === undefined ? "" : named(place.name), when].filter((part) => part !== "").join(" · "),
      }),
      el("p", { text: named(programme.about) }),
    );
    const row = el("div", { class: "row" });
    row.append(
      button(say("goHere"), () => {
        void page.goTo(programme.place, place === undefined ? programme.place : named(place.name));
        sheet.close();
      }),
    );
    if (programme.rehearsal) {
      row.append(
        button(say("rehearse"), () => {
          page.rehearse(programme);
          sheet.close();
        }),
      );
    }
    box.append(row);
    sheet.body.append(box);
  }
}
