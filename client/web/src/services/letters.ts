/** The letters of a request, read with its own key: fetched sealed, proven to stand in the record, opened here. */

import { FILES, listed } from "../civic/attachments";
import { citizenOf, replyKey } from "../civic/case";
import { NotTold, readLeaf, readSealed } from "../civic/read";
import { openSealed } from "../civic/transaction";
import type { Request, Wallet } from "../civic/wallet";
import { Malformed } from "../net/msgpack";
import { el } from "../ui/dom";
import { trust } from "./city";
import { thisMinute } from "./sending";
import { say } from "./words";

/** Puts the text of each letter where the page has a place for it. */
export async function showLetters(wallet: Wallet, stream: string, own: Request): Promise<void> {
  const places = [...document.querySelectorAll<HTMLElement>("[data-letter]")];
  const mine = new Map((await wallet.acts(own.id)).map((act) => [act.entry, act]));
  if (places.length === 0) return;
  const keys = await trust();
  for (const place of places) {
    const entry = Number(place.dataset.letter);
    const act = mine.get(entry);
    const said = (act?.shown as { text?: string } | undefined)?.text;
    if (said !== undefined) {
      place.append(el("p", { foreign: said })); // written here
      for (const { name } of act?.files ?? []) place.append(el("p", { class: "hint", foreign: name }));
      continue;
    }
    try {
      const { filing } = await readLeaf("", stream, entry, keys);
      const sealed = await readSealed("", stream, entry, citizenOf(own.secrets), thisMinute());
      const { fields } = await openSealed(filing, sealed, replyKey(own.secrets).secret);
      const text = fields.find(({ name }) => name === "text")?.value ?? "";
      const language = fields.find(({ name }) => name === "language")?.value;
      place.append(
        el("p", {
          foreign: text,
          attributes: language && /^[a-z]{2,3}$/.test(language) ? { lang: language } : {},
        }),
      );
      const files = listed(fields.find(({ name }) => name === FILES)?.value ?? "[]");
      if (files.length > 0)
        place.append(el("p", { class: "hint", text: say("fileCount", { count: files.length }) }));
    } catch (error) {
      if (!(error instanceof Malformed || error instanceof NotTold || error instanceof TypeError))
        throw error;
      const erased = error instanceof NotTold && error.reason === "civic-erased";
      place.append(el("p", { class: "hint", text: say(erased ? "erased" : "unreadable") }));
    }
  }
}
