/** What a person can choose for this device, whom they blocked, and what serves them. */

import { language, say, speak } from "../../words";
import { cleanName } from "../../words/clean";
import { button, choice, el, field, toggle } from "../dom";
import type { Sheet } from "./sheet";

export function settings(sheet: Sheet): void {
  const { page } = sheet;
  const { settings } = page;
  const put = (change: () => void): void => {
    change();
    page.changed();
  };
  const other = button(say("otherLanguage"), () => speak(language() === "ko" ? "en" : "ko"), {
    label: say("otherLanguageLabel"),
  });
  other.lang = language() === "ko" ? "en" : "ko";
  sheet.body.append(
    el("div", { class: "field" }, el("span", { class: "field-name", text: say("language") }), other),
    toggle(say("reduceMotion"), settings.reduceMotion, (on) => put(() => (settings.reduceMotion = on))),
    toggle(say("quiet"), settings.quiet, (on) => put(() => (settings.quiet = on))),
    toggle(say("fewer"), settings.fewer, (on) => put(() => (settings.fewer = on))),
    toggle(say("textSize"), settings.large, (on) => put(() => (settings.large = on))),
    toggle(say("showRegions"), settings.regions, (on) => put(() => (settings.regions = on))),
    field(
      say("dayNight"),
      choice(
        [
          ["clock", say("byClock")],
          ["day", say("alwaysDay")],
          ["night", say("alwaysNight")],
        ] as const,
        settings.hour,
        (hour) => put(() => (settings.hour = hour)),
      ),
    ),
  );
  const { node, handoffs, roundTripMs } = page.view;
  const facts = [
    node === "" ? "" : say("onNode", { node }),
    Number.isNaN(roundTripMs) ? "" : say("roundTrip", { ms: Math.round(roundTripMs) }),
    say("handoffs", { count: handoffs }),
  ].filter((fact) => fact !== "");
  if (page.world.blocked.size > 0) {
    const list = el("ul", { class: "rows" });
    for (const [id, name] of page.world.blocked) {
      list.append(
        el(
          "li",
          {},
          el("span", { foreign: cleanName(name, "…") }),
          button(say("unblock"), () => {
            page.world.block(id, false);
            sheet.open("settings");
          }),
        ),
      );
    }
    sheet.body.append(el("h3", { text: say("blocked") }), list);
  }
  sheet.body.append(
    el("ul", { class: "facts" }, ...facts.map((text) => el("li", { text }))),
    el("p", { class: "credits", text: say("credits") }),
  );
}
