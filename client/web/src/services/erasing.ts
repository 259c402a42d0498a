/**
 * Erasure: who filed a request has what was sealed with it destroyed, and what was sealed with their own letters about
 * it, each with its files. Every entry has a filing of its own that asks for it, signed by the key of that entry; it is
 * kept in the wallet and sent again like all others. The log stays as it is, and so does this device's copy.
 */

import { citizenOf, fileErasure } from "../civic/case";
import type { Outcome } from "../civic/filer";
import type { Sentences } from "../civic/form";
import { newSecrets } from "../civic/transaction";
import type { Request, Wallet } from "../civic/wallet";
import { button, el } from "../ui/dom";
import type { Case } from "./acts";
import { tell } from "./page";
import { send, thisMinute } from "./sending";
import { reason, say } from "./words";

const ERASED = "erased";

/** What is sealed of a person's in a case, and not erased yet: the filing, and letters written on this device. */
export function erasable(own: Request, of: Case, acts: readonly Request[]): Request[] {
  const sealed = new Set(of.acts.filter(({ letter, erased }) => letter && !erased).map(({ entry }) => entry));
  const letters = acts.filter(({ entry }) => entry !== null && sealed.has(entry));
  return of.erased ? letters : [own, ...letters];
}

/** Whether nothing that was to be erased is there any more. */
export function isErased(of: Case, entries: readonly (number | null)[]): boolean {
  const gone = new Set(of.acts.filter(({ erased }) => erased).map(({ entry }) => entry));
  return entries.every((entry) => entry !== null && (entry === of.entry ? of.erased : gone.has(entry)));
}

/** Shows what has been erased, or offers it; `done` is called with the entries once their erasure is in the log. */
export async function offerErasure(
  box: HTMLElement,
  wallet: Wallet,
  own: Request,
  of: Case,
  words: Sentences,
  done: (entries: readonly (number | null)[]) => void,
): Promise<void> {
  if (of.erased) box.append(el("p", { class: "notice", text: say("eraseDone") }));
  const left = erasable(own, of, await wallet.acts(own.id));
  if (left.length === 0) return;
  const status = el("p", { class: "sending", attributes: { role: "status" } });
  const go = button(
    say("eraseGo"),
    () => {
      if (go.disabled || !confirm(say("eraseSure"))) return;
      go.disabled = true;
      tell(status, say("eraseSending"));
      void eraseAll(wallet, own, left).then((outcome) => {
        go.disabled = false;
        if (outcome?.kind === "refused")
          tell(status, say("refused", { why: reason(words, outcome.reason, outcome.said) }));
        else if (outcome !== null) tell(status, say("waiting"));
        else done(left.map(({ entry }) => entry));
      });
    },
    { class: "grave" },
  );
  box.append(
    el(
      "details",
      { class: "act" },
      el("summary", { text: say("eraseGo") }),
      el("p", { text: say("eraseGoes") }),
      el("p", { text: say("eraseStays") }),
      el("p", {}, go),
      status,
    ),
  );
}

/** One after the other; what hindered the first that was not taken, or null. */
async function eraseAll(wallet: Wallet, own: Request, left: readonly Request[]): Promise<Outcome | null> {
  for (const of of left) {
    const outcome = await send(wallet, await erasure(wallet, own, of));
    if (outcome.kind !== "accepted") return outcome;
  }
  return null;
}

/** The filing that has this entry erased: the one that was made already, or a new one. */
async function erasure(wallet: Wallet, own: Request, of: Request): Promise<Request> {
  const entry = of.entry as number; // only what is in the log is erased
  const before = (await wallet.acts(own.id)).find(
    ({ service, shown, standing }) =>
      service === ERASED && standing !== "refused" && (shown as { entry?: number }).entry === entry,
  );
  if (before !== undefined) return before;
  const secrets = newSecrets();
  const asked = await fileErasure(of.stream, entry, citizenOf(of.secrets), thisMinute(), secrets.seed);
  return wallet.begin(asked, secrets, { service: ERASED, about: own.id, shown: { entry } });
}
