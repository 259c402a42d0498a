/** The counter of the place one stands at: one's number, the numbers called; and for who works there, the next one. */

import { queueAt, type Ticket } from "../../state/counter";
import { keptChain } from "../../state/kept";
import { language, say, timeOfDay, told } from "../../words";
import { cleanName } from "../../words/clean";
import { button, clear, el } from "../dom";
import { nameOf } from "./people";
import type { Sheet } from "./sheet";

const COUNTER_ROOM = "counter-room";
const CALLED_SHOWN = 5;
const WAITING_SHOWN = 40;

export function counter(sheet: Sheet): void {
  const { page } = sheet;
  const place = page.placeHere();
  const line = place?.features.find((feature) => feature.kind === "counter")?.line;
  const works = keptChain()?.role === "official";
  if (line === undefined) {
    clear(sheet.body);
    delete sheet.body.dataset.queue;
    const go = (): void => void page.goTo(COUNTER_ROOM, say("counter")).then(() => sheet.open("counter"));
    sheet.body.append(
      el("p", { text: say("counterElsewhere") }),
      button(say("goHere"), go, { class: "primary" }),
    );
    return;
  }
  const queue = queueAt(page.view.objects.values(), { east: line[0], north: line[1] }, page.view.me?.id ?? 0);
  const names = [...queue.waiting, ...queue.called].map((one) => shown(sheet, one.by));
  const news = JSON.stringify([queue.waiting.map((one) => one.number), queue.called, queue.mine, names]);
  if (sheet.body.dataset.queue === news && sheet.body.childElementCount > 0) return; // nobody's focus is disturbed
  const focused = sheet.body.contains(document.activeElement)
    ? document.activeElement?.textContent
    : undefined;
  clear(sheet.body);
  sheet.body.dataset.queue = news;
  sheet.body.append(
    el("p", { class: "counter-mine", text: mine(sheet, queue.mine, queue.before) }),
    el("p", { class: "hint", text: say("counterWaiting", { count: queue.waiting.length }) }),
  );
  if (!works && (queue.mine === null || queue.mine.calledBy !== 0))
    sheet.body.append(button(say("drawNumber"), () => act(sheet, "draw"), { class: "primary" }));
  if (works) official(sheet, queue.waiting);
  const called = el("ul", { class: "rows" });
  for (const one of queue.called.slice(0, CALLED_SHOWN)) called.append(calledLine(sheet, one));
  if (queue.called.length > 0) sheet.body.append(el("h3", { text: say("counterCalled") }), called);
  sheet.body.append(el("p", { class: "hint", text: say("counterTalk") }));
  for (const one of sheet.body.querySelectorAll<HTMLElement>("button, a"))
    if (one.textContent === focused) one.focus();
}

/** What one's own number says. */
function mine(sheet: Sheet, ticket: Ticket | null, before: number): string {
  if (ticket === null) return say("counterNone");
  const { number } = ticket;
  if (ticket.calledBy === 0) return say("counterMine", { number, before });
  return say("counterYours", { number, name: shown(sheet, ticket.calledBy) });
}

/** A person as the page calls them. */
function shown(sheet: Sheet, id: number): string {
  return cleanName(nameOf(sheet.page, id), "…");
}

function calledLine(sheet: Sheet, ticket: Ticket): HTMLElement {
  const { page } = sheet;
  const row = el(
    "li",
    {},
    el("strong", { text: say("counterNumber", { number: ticket.number }) }),
    el("span", { class: "detail", text: timeOfDay(ticket.atMs) }),
  );
  if (ticket.calledBy === page.view.me?.id) {
    const talk = (): void => {
      sheet.close();
      page.talk("direct", ticket.by);
    };
    const again = (): void => act(sheet, "call", ticket.id);
    row.append(button(say("direct"), talk), button(say("counterAgain"), again));
  }
  return row;
}

/** What whoever works at the counter sees besides: the next number, and the desk in a window beside this one. */
function official(sheet: Sheet, waiting: readonly Ticket[]): void {
  const next = button(say("counterNext"), () => act(sheet, "call"), { class: "primary" });
  next.disabled = waiting.length === 0;
  const desk = el("a", {
    text: say("counterDesk"),
    class: "button",
    attributes: { href: `/${language()}/desk`, target: "p2pworld-desk", rel: "noopener" },
  });
  const list = el("ul", { class: "rows" });
  for (const one of waiting.slice(0, WAITING_SHOWN))
    list.append(
      el(
        "li",
        {},
        el("span", { text: say("counterNumber", { number: one.number }) }),
        el("span", { foreign: shown(sheet, one.by) }),
        el("span", { class: "detail", text: timeOfDay(one.atMs) }),
      ),
    );
  sheet.body.append(el("h3", { text: say("counterStaff") }), el("div", { class: "stack" }, next, desk), list);
}

function act(sheet: Sheet, verb: "draw" | "call", target?: Uint8Array): void {
  const { page } = sheet;
  void page.world.act(verb, "", target).then((done) => {
    if (done.durable === "") page.toast(told(done.reason, done.sentence));
    else if (verb === "draw") page.announce(say("counterDrawn"));
    if (sheet.shown === "counter") sheet.open("counter");
  });
}
