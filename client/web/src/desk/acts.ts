/** What an official does, made into a submission: an act alone, or with a letter that office and citizen read. */

import { type CaseAct, fileAct, fileLetter, REPLY_KEY } from "../civic/case";
import { sealingPublic } from "../civic/seal";
import { newSecrets, type Submission, withPapers } from "../civic/transaction";
import { fromHex } from "../net/bytes";
import type { Held } from "./keys";
import { fieldOf, KEYS, keysText, type Opened } from "./open";

/** Acts whose amount is a number of days. */
export const IN_DAYS: ReadonlySet<string> = new Set(["ask", "ask-again", "inquire"]);

/** The office's number in an act that passes a case on: 0 the city's, then the gu in their order. */
export function officeNumber(offices: readonly string[], stream: string): number {
  return offices.indexOf(stream);
}

export interface Written {
  readonly act: CaseAct;
  readonly text: string;
  readonly language: string;
  /** The sealing keys of the office that it is passed on to. */
  readonly to: readonly Uint8Array[];
}

/** Why it cannot be written: a key of the page's words. */
export type Fault = "keys_first" | "shut_key";

/** The submission of what was written about a case that was opened. */
export async function compose(
  held: Held,
  opened: readonly Opened[],
  written: Written,
  nowMs: number,
): Promise<Submission | Fault> {
  const { act, text, language, to } = written;
  const minute = Math.floor(nowMs / 60_000);
  const secrets = newSecrets();
  const papers = [{ kind: "grants", data: new TextEncoder().encode(held.grants) }];
  if (text === "" && to.length === 0)
    return withPapers(await fileAct(act, held.signer, minute, secrets.seed), papers);
  if (held.secret === null) return "keys_first";
  if (to.length > 0 && opened.some((one) => one.key === null)) return "shut_key";
  const reply = fieldOf(opened[0], REPLY_KEY);
  const readers = [sealingPublic(held.secret), ...to];
  if (/^[0-9a-f]{64}$/.test(reply)) readers.push(fromHex(reply));
  const fields = to.length > 0 ? [{ name: KEYS, value: keysText(opened) }] : [];
  const letter = { text, language, fields };
  return withPapers(
    await fileLetter(act, letter, held.signer, held.signer, readers, minute, secrets),
    papers,
  );
}
