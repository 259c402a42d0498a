/** The button by which somebody supports a proposal, on the page of its request; anybody's, and once a person. */

import { showClaim } from "../civic/claims";
import { file } from "../civic/filer";
import type { Sentences } from "../civic/form";
import { fileSupport, supportPurpose } from "../civic/support";
import { newSecrets, withPapers } from "../civic/transaction";
import type { Wallet } from "../civic/wallet";
import { el } from "../ui/dom";
import { claimFor } from "./attesting";
import { nodes, trust } from "./city";
import { part, tell } from "./page";
import { myself, thisMinute } from "./sending";
import { language, reason, say } from "./words";

const WAIT_MS = 20_000;
const ALREADY = "supported-already"; // also what a second click is told whose first answer was lost

/** Makes the button live, if the page has it; `done` is called once the support is in the record. */
export function offerSupport(
  wallet: Wallet,
  stream: string,
  entry: number,
  words: Sentences,
  done: () => void,
): void {
  const box = document.getElementById("support");
  const press = box?.querySelector("button");
  if (!box || !press) return;
  const line = part("supporting", box);
  press.hidden = false;
  press.addEventListener("click", async () => {
    press.disabled = true;
    tell(line, say("working"));
    try {
      await support(wallet, stream, entry, words, line, done);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      tell(line, say("supportLost")); // no connection
    } finally {
      press.disabled = false;
    }
  });
}

async function support(
  wallet: Wallet,
  stream: string,
  entry: number,
  words: Sentences,
  line: HTMLElement,
  done: () => void,
): Promise<void> {
  const purpose = supportPurpose(stream, entry);
  const claim = await claimFor(wallet, purpose);
  if (claim === null) {
    const query = new URLSearchParams({ purpose, back: location.pathname });
    const link = el("a", {
      text: say("claimGo"),
      attributes: { href: `/${language}/people?${query}#attest` },
    });
    line.replaceChildren(`${say("supportClaim")} `, link);
    link.focus();
    return;
  }
  const made = await fileSupport(stream, entry, claim.person, thisMinute(), newSecrets().seed);
  const shown = await showClaim(claim, (await myself(wallet)).seed, made.filing);
  const submission = withPapers(made, [shown]);
  const outcome = await file({ submission, trust: await trust(), urls: await nodes(), waitMs: WAIT_MS });
  if (outcome.kind === "accepted") {
    tell(line, say("supported"));
    done();
  } else if (outcome.kind === "refused")
    tell(
      line,
      outcome.reason === ALREADY
        ? say("supportedAlready")
        : say("refused", { why: reason(words, outcome.reason, outcome.said) }),
    );
  else tell(line, say("supportLost"));
}
