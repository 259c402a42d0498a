/** My requests: those whose keys this browser has, as the node shows them, and those that are still on their way. */

import type { Request, Wallet } from "../civic/wallet";
import { el } from "../ui/dom";
import { part } from "./page";
import type { Shown } from "./service";
import { language, named, reason, say, sentences } from "./words";

const KEYS_MOST = 100; // in one question
const LOOK_MS = 300;
const LOOKS_MOST = 10;

export async function showRequests(wallet: Wallet): Promise<void> {
  const place = part("requests");
  const all = await wallet.requests();
  const shown: Element[] = [];
  const there = new Set<string>();
  for (let i = 0; i < all.length; i += KEYS_MOST) {
    const keys = all.slice(i, i + KEYS_MOST).map(({ id }) => ["key", id]);
    for (const line of await linesOf(new URLSearchParams(keys))) {
      there.add((line as HTMLElement).dataset.key ?? "");
      shown.push(line);
    }
  }
  const coming = await Promise.all(
    all.filter(({ id }) => !there.has(id)).map((each) => onItsWay(wallet, each)),
  );
  if (all.length === 0) {
    const none = part<HTMLTemplateElement & HTMLElement>("no-requests");
    place.replaceChildren(none.content.cloneNode(true));
  } else place.replaceChildren(el("ul", { class: "requests" }, ...coming, ...shown));
  if (!wallet.lasting) place.prepend(el("p", { class: "notice", text: say("keepsNothing") }));
}

/** Waits until this node has read of a request that was just filed, for some seconds at most. */
export async function isListed(key: string): Promise<void> {
  for (let i = 0; i < LOOKS_MOST; i++) {
    if ((await linesOf(new URLSearchParams({ key }))).length > 0) return;
    await new Promise((done) => setTimeout(done, LOOK_MS));
  }
}

async function linesOf(keys: URLSearchParams): Promise<Element[]> {
  try {
    const answer = await fetch(`/${language}/requests/lines?${keys}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    return answer.ok ? [...page.querySelectorAll(".requests > li")] : [];
  } catch {
    return []; // no connection: what is kept here is shown all the same
  }
}

/** A request that the node does not know yet. */
async function onItsWay(wallet: Wallet, request: Request): Promise<HTMLElement> {
  const { entry, stream, standing, reason: code } = request;
  const title = (request.shown as Shown | null)?.title ?? { en: request.service };
  const path =
    entry === null ? `/${language}/services/${request.service}` : `/${language}/requests/${stream}/${entry}`;
  const link = el("a", { text: named(title), attributes: { href: path } });
  const card = el("li", { class: "card" }, el("h2", {}, link));
  if (standing === "refused") {
    const why = reason(await sentences("/services/words.json"), code ?? "");
    card.append(el("p", { text: say("refused", { why }) }));
    const away = el("button", { text: say("erase"), attributes: { type: "button" } });
    away.addEventListener("click", () => void wallet.forget(request.id).then(() => showRequests(wallet)));
    card.append(el("p", {}, away));
    return card;
  }
  const word = entry === null ? "pending" : "recorded";
  card.append(
    el("p", {}, el("span", { class: "state unsure", text: say(word) })),
    el("p", { class: "hint", text: say(word === "pending" ? "pendingHint" : "recordedHint") }),
  );
  if (entry !== null)
    card.append(
      el("p", { class: "request-line" }, `${say("caseNumber")} `, el("code", { text: `${stream}/${entry}` })),
    );
  return card;
}
