/** Filing what an official does, once however often it is sent: the same bytes go again until it is known. */

import { file, type Outcome } from "../civic/filer";
import type { Submission } from "../civic/transaction";
import type { Trust } from "../civic/trust";
import { type PageData, say } from "./words";

const LOOK_MS = 500;
const LOOKS_MAX = 20;

/** What became of it. */
export function bring(submission: Submission, trust: Trust): Promise<Outcome> {
  return file({ submission, trust, urls: [""] });
}

/** The same in a sentence. */
export function outcomeWords(page: PageData, outcome: Outcome): string {
  switch (outcome.kind) {
    case "accepted":
      return say(page, "done", { entry: outcome.index });
    case "refused": {
      const said = page.language === "ko" ? outcome.said.ko : outcome.said.en;
      return `${said} (${outcome.reason})`;
    }
    case "unknown":
      return say(page, "unknown");
  }
}

/** Returns when the public record shows more than `seen` acts on a case, or has taken too long. */
export async function untilSeen(stream: string, entry: number, seen: number): Promise<void> {
  for (let look = 0; look < LOOKS_MAX; look++) {
    const answer = await fetch(`/api/v1/cases/${stream}/${entry}`, { cache: "no-store" });
    if (answer.ok && ((await answer.json()) as { seen: number }).seen > seen) return;
    await new Promise((done) => setTimeout(done, LOOK_MS));
  }
}
