/** Who is here, and the card of one person: go to them, whisper, welcome as a friend, mute, block, report. */

import { say } from "../../words";
import { clean, cleanName, NAME_SHOWN } from "../../words/clean";
import { report } from "../dialogs";
import { button, clear, el } from "../dom";
import type { Page } from "../page";
import { around } from "../where";
import type { Sheet } from "./sheet";

const LISTED_MAX = 40;
/** Nobody wants to be stood upon. */
const BESIDE_M = 1.5;

/** The name somebody has, or had when this person last chose something about them. */
export function nameOf(page: Page, id: number): string | undefined {
  return page.view.people.get(id)?.name ?? page.remembered.friends.get(id) ?? page.world.blocked.get(id);
}

export function who(sheet: Sheet): void {
  const { page } = sheet;
  const near = around(page);
  const focused =
    document.activeElement instanceof HTMLElement ? document.activeElement.dataset.id : undefined;
  const list = el("ul", { class: "rows" });
  for (const one of near.nearest.slice(0, LISTED_MAX)) {
    const name = button(one.name, () => page.person(one.id), { class: "row-button foreign" });
    name.dataset.id = String(one.id);
    list.append(
      el(
        "li",
        {},
        name,
        one.program ? el("span", { class: "tag", text: say("program") }) : null,
        el("span", { class: "detail", text: `${Math.round(one.away)} m` }),
      ),
    );
  }
  const total = el(
    "p",
    { class: "count" },
    el("strong", { text: say("peopleHere", { count: near.people + 1 }) }),
  );
  total.append(el("span", { class: "tag", text: say("programsHere", { count: near.programs }) }));
  const crowd = near.crowd + near.unknown;
  clear(sheet.body);
  sheet.body.append(total);
  if (crowd > 0) sheet.body.append(el("p", { class: "hint", text: say("crowdAround", { count: crowd }) }));
  sheet.body.append(list);
  if (focused !== undefined)
    sheet.body.querySelector<HTMLElement>(`[data-id="${CSS.escape(focused)}"]`)?.focus();
}

export function person(sheet: Sheet, id: number): void {
  const { page } = sheet;
  const { remembered, world } = page;
  const person = page.view.people.get(id);
  const name = cleanName(nameOf(sheet.page, id), "…");
  const again = (): void => sheet.open("person");
  const note =
    person !== undefined && person.kind !== "person" ? say(person.kind === "ai" ? "ai" : "program") : "";
  if (note !== "") sheet.body.append(el("p", {}, el("span", { class: "tag", text: note })));
  const last = page.heard.filter((said) => said.id === id).slice(-5);
  const friend = remembered.friends.has(id);
  const actions = el("div", { class: "stack" });
  actions.append(
    button(say("direct"), () => {
      sheet.close();
      page.talk("direct", id);
    }),
    button(friend ? say("unfriend") : say("befriend"), () => {
      if (!remembered.friends.delete(id)) remembered.friends.set(id, clean(person?.name ?? "…", NAME_SHOWN));
      remembered.keep();
      world.befriend(id, remembered.friends.has(id));
      again();
    }),
    button(remembered.muted.has(id) ? say("unmute") : say("mute"), () => {
      if (!remembered.muted.delete(id)) remembered.muted.add(id);
      again();
    }),
    button(world.blocked.has(id) ? say("unblock") : say("block"), () => {
      world.block(id, !world.blocked.has(id), name);
      again();
    }),
  );
  actions.prepend(
    button(
      say("walkToThem"),
      () => {
        const at = page.view.ids.subarray(0, page.view.count).indexOf(id);
        if (at < 0) {
          page.toast(say("notInSight"));
          return;
        }
        sheet.close();
        page.camera.following = true;
        world.walkTo(page.view.east[at], page.view.north[at] - BESIDE_M);
      },
      { class: friend ? "" : "primary" },
    ),
  );
  if (friend) {
    const go = (): void => {
      sheet.close();
      void page.goToFriend(id, name);
    };
    actions.prepend(button(say("goToThem"), go, { class: "primary" }));
  }
  // said before one chooses it, too
  sheet.body.append(actions, el("p", { class: "hint", text: say("friendsMayCome") }));
  if (last.length > 0) {
    const list = el("ul", { class: "rows" });
    for (const said of last) {
      list.append(
        el(
          "li",
          {},
          el("span", { foreign: clean(said.text, 160) }),
          button(say("report"), () => report(page, said), { class: "flag" }),
        ),
      );
    }
    sheet.body.append(el("h3", { text: say("message") }), list);
  }
}
