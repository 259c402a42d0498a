/** What a person can choose for this device, whom they blocked, and what serves them. */

import { same, toHex } from "../../net/bytes";
import { readChain } from "../../net/grants";
import { signer } from "../../net/keys";
import { keepChain, keptChain, keptKey, openKept } from "../../state/kept";
import { dayAndTime, language, say, speak } from "../../words";
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
    ...role(),
    el("p", { class: "credits", text: say("credits") }),
  );
}

/** The person's public key, to be named in a grant, and the grant that gives them a role. */
function role(): HTMLElement[] {
  const key = el("output", { class: "foreign", label: say("roleKey") });
  let mine: Uint8Array | null = null;
  void openKept()
    .then(keptKey)
    .then(signer)
    .then((me) => {
      mine = me.public;
      key.textContent = toHex(me.public);
    });
  const text = el("textarea", { attributes: { rows: "3", spellcheck: "false", autocomplete: "off" } });
  const file = el("input", { label: say("roleGrant"), attributes: { type: "file" } });
  file.addEventListener("change", () => void file.files?.[0]?.text().then((read) => (text.value = read)));
  const said = el("p", { class: "hint", attributes: { role: "status" } });
  const held = keptChain();
  if (held) {
    const until = dayAndTime(held.untilMs);
    said.textContent = say("roleHeld", { role: cleanName(held.role, "…"), until });
  }
  const comeAgain = (kept: string): void => {
    keepChain(kept);
    location.reload();
  };
  const show = button(say("roleKeep"), () => {
    const chain = readChain(text.value);
    if (!chain) said.textContent = say("roleNone");
    else if (mine === null || !same(chain.subject, mine)) said.textContent = say("roleOther");
    else comeAgain(text.value);
  });
  return [
    el("h3", { text: say("roleTitle") }),
    el("div", { class: "field" }, el("span", { class: "field-name", text: say("roleKey") }), key),
    field(say("roleGrant"), text, say("roleGrantHint")),
    file,
    said,
    el("div", { class: "field" }, show, held ? button(say("roleDrop"), () => comeAgain("")) : null),
  ];
}
