/** A queue for whoever sits at the desk: which cases are theirs, who is away, and taking over from a colleague. */

import { fetchTrust } from "../civic/trust";
import { toHex } from "../net/bytes";
import { button, choice, el, field } from "../ui/dom";
import { compose } from "./acts";
import { bring, untilSeen } from "./filing_view";
import { type Held, held } from "./keys";
import { type Listed, type PageData, say } from "./words";

const DAYS_MAX = 366;

export async function queueView(page: PageData): Promise<void> {
  const seat = await held();
  marked(page, seat);
  if (seat === null) return;
  const me = toHex(seat.signer.public);
  const mine = document.getElementById("mine") as HTMLAnchorElement;
  mine.href = `?assigned=${me}`;
  mine.hidden = false;
  const cases = page.cases ?? [];
  const forms = document.getElementById("absence-forms") as HTMLElement;
  const own = cases.filter((one) => one.assigned === me && !one.ended);
  if (own.length > 0) forms.append(awayForm(page, seat, own));
  const others = new Set(cases.flatMap((one) => (one.assigned && one.assigned !== me ? [one.assigned] : [])));
  if (others.size > 0) forms.append(takeOverForm(page, seat, [...others]));
  (document.getElementById("absence") as HTMLElement).hidden = forms.childElementCount === 0;
}

/** Says which keys on the page are one's own, and whose holder is away. */
export function marked(page: PageData, seat: Held | null): void {
  const me = seat === null ? "" : toHex(seat.signer.public);
  const away = new Map((page.cases ?? []).map((one) => [one.assigned, one.away_until]));
  for (const code of document.querySelectorAll<HTMLElement>("[data-assigned]")) {
    const key = code.dataset.assigned ?? "";
    if (key === me) code.textContent = say(page, "me");
    const until = away.get(key) ?? 0;
    if (until * 60_000 <= Date.now()) continue;
    const day = new Date(until * 60_000).toLocaleDateString(page.language, { timeZone: "Asia/Seoul" });
    code.after(el("span", { class: "tag", text: say(page, "away_until", { day }) }));
  }
}

function awayForm(page: PageData, seat: Held, own: readonly Listed[]): HTMLElement {
  const days = el("input", { attributes: { type: "number", min: "1", max: String(DAYS_MAX), required: "" } });
  const form = el("form", {}, field(say(page, "days"), days, say(page, "away_hint")));
  form.append(el("button", { text: say(page, "away") }));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void each(page, seat, own, "note", Number(days.value), form);
  });
  return form;
}

function takeOverForm(page: PageData, seat: Held, others: readonly string[]): HTMLElement {
  let absent = others[0] as string;
  const openOf = (key: string): Listed[] =>
    (page.cases ?? []).filter((one) => one.assigned === key && !one.ended);
  const names = others.map((key) => [key, `${key.slice(0, 8)} (${openOf(key).length})`] as const);
  const whose = choice(names, absent, (key) => {
    absent = key;
    go.textContent = say(page, "take_over_all", { count: openOf(absent).length });
  });
  const form = el("div", {}, field(say(page, "colleague"), whose));
  const go = button(say(page, "take_over_all", { count: openOf(absent).length }), () => {
    void each(page, seat, openOf(absent), "reassign", 0, form);
  });
  form.append(go);
  return form;
}

/** Does the same with each of these cases, and tells how many of them it was done with. */
async function each(
  page: PageData,
  seat: Held,
  cases: readonly Listed[],
  action: string,
  amount: number,
  form: HTMLElement,
): Promise<void> {
  const said = document.getElementById("absence-said") as HTMLElement;
  for (const control of form.querySelectorAll<HTMLButtonElement>("button")) control.disabled = true;
  said.textContent = say(page, "sending");
  const trust = await fetchTrust("");
  let done = 0;
  for (const { stream, entry, seen } of cases) {
    const act = { stream, entry, seen, action, amount };
    const made = await compose(seat, [], { act, text: "", language: "", to: [] }, Date.now());
    if (typeof made === "string") continue;
    if ((await bring(made, trust)).kind === "accepted") {
      done += 1;
      await untilSeen(stream, entry, seen);
    }
    said.textContent = say(page, "each_done", { done, left: cases.length - done });
  }
  if (done === cases.length) location.reload();
}
