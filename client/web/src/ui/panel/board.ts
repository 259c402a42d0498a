/** The notice board of the place one stands at. */

import { dayAndTime, say, told } from "../../words";
import { clean } from "../../words/clean";
import { button, el } from "../dom";
import type { Sheet } from "./sheet";

const LISTED_MAX = 40;
const NOTE_REACH_M = 40;

export function board(sheet: Sheet): void {
  const { page } = sheet;
  const place = page.placeHere();
  const at = place?.board ?? null;
  if (place === null || at === null) {
    sheet.body.append(el("p", { text: say("noBoard") }));
    return;
  }
  const notes = [...page.view.objects.values()]
    .filter(
      (object) =>
        object.kind === "note" && Math.hypot(object.east - at.east, object.north - at.north) < NOTE_REACH_M,
    )
    .sort((a, b) => b.atMs - a.atMs)
    .slice(0, LISTED_MAX);
  if (notes.length === 0) sheet.body.append(el("p", { text: say("noNotes") }));
  const list = el("ul", { class: "rows notes" });
  for (const note of notes) {
    list.append(
      el(
        "li",
        {},
        el("p", { foreign: clean(note.text, 200) }),
        el("span", { class: "detail", text: note.atMs > 0 ? dayAndTime(note.atMs) : "" }),
      ),
    );
  }
  const pin = button(
    say("pinNote"),
    () => {
      void page.ask(say("pinNote"), "", say("note"), say("pinNote"), 200).then((text) => {
        if (text === null) return;
        void page.world.act("note", text).then((done) => {
          if (done.durable === "") page.toast(told(done.reason, done.sentence));
          else page.toast(say(done.durable === "pending" ? "kept" : "pinned"));
          if (sheet.shown === "board") sheet.open("board");
        });
      });
    },
    { class: "primary" },
  );
  sheet.body.append(list, pin);
}
