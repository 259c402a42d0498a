/** Small panels: the keys, drumming together, one's own look. */

import { readLook, writeLook } from "../../draw/look";
import { say } from "../../words";
import { button, el } from "../dom";
import { lookCard } from "../looks";
import type { Sheet } from "./sheet";

export function help(sheet: Sheet): void {
  for (const key of ["keyWalk", "keyZoom", "keyChat", "keyMore", "drumHelp", "touchHelp"] as const) {
    sheet.body.append(el("p", { text: say(key) }));
  }
}

export function look(sheet: Sheet): HTMLElement {
  const { page } = sheet;
  const { form, name } = lookCard(
    page.world.name,
    readLook(page.look(), page.view.me?.id ?? 1),
    say("save"),
    (given, look) => {
      page.world.profile(given, writeLook(look));
      page.toast(say("done"));
      sheet.close();
    },
  );
  sheet.body.append(form);
  return name;
}

export function drum(sheet: Sheet): HTMLElement {
  const { page } = sheet;
  const low = button(say("drumLow"), () => page.world.beat(0), { class: "drum drum-low" });
  const high = button(say("drumHigh"), () => page.world.beat(1), { class: "drum drum-high" });
  sheet.body.append(el("p", { text: say("drumHelp") }), el("div", { class: "drums" }, low, high));
  return low;
}
