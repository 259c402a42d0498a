/** One case at the desk: what is sealed is opened beside what is public, and acts are signed and filed. */

import { FILES, listed } from "../civic/attachments";
import { REPLY_KEY } from "../civic/case";
import { DEVICE } from "../civic/identity";
import { fetchTrust, type Trust } from "../civic/trust";
import { clear, el } from "../ui/dom";
import { actForm } from "./act_form";
import { fileView } from "./files_view";
import { held } from "./keys";
import { fieldOf, KEYS, type Opened, openCase } from "./open";
import { marked } from "./queue_view";
import { type Label, type PageData, say } from "./words";

const NOT_SHOWN: ReadonlySet<string> = new Set([KEYS, REPLY_KEY, DEVICE, "language"]);

export async function caseView(page: PageData): Promise<void> {
  const of = page.case;
  if (of === undefined) return;
  const seat = await held();
  marked(page, seat);
  if (seat === null) {
    (document.getElementById("keys-missing") as HTMLElement).hidden = false;
    return;
  }
  const section = document.getElementById("sealed") as HTMLElement;
  const box = document.getElementById("opened") as HTMLElement;
  section.hidden = false;
  box.append(el("p", { text: say(page, "opening") }));
  let trust: Trust;
  try {
    trust = await fetchTrust("");
  } catch {
    clear(box);
    box.append(el("p", { class: "notice", text: say(page, "shut", { why: say(page, "shut_lost") }) }));
    return;
  }
  const opened = await openCase(seat, of, trust, Date.now());
  show(page, opened);
  actForm(page, of, seat, opened, trust);
}

/** The filing above, each letter with the act that it came with. */
function show(page: PageData, opened: readonly Opened[]): void {
  const [filing, ...letters] = opened;
  const box = document.getElementById("opened") as HTMLElement;
  clear(box);
  if (filing !== undefined) box.append(content(page, filing));
  for (const letter of letters)
    document.querySelector(`[data-letter="${letter.entry}"]`)?.append(content(page, letter));
}

function content(page: PageData, opened: Opened): HTMLElement {
  if (opened.shut !== null) {
    const why = say(page, opened.shut);
    return el("p", { class: "notice", text: say(page, "shut", { why }) });
  }
  const text = fieldOf(opened, "text");
  const list = el("dl", { class: "own" });
  for (const { name, value } of opened.private?.fields ?? []) {
    if (NOT_SHOWN.has(name) || name === "text" || value === "") continue;
    const label = page.labels?.[name];
    const { key } = opened;
    const isFile = label?.file ?? name === FILES;
    if (isFile && key !== null) {
      const files = listed(value).map((hash) => fileView(page, page.case?.stream ?? "", key, hash));
      list.append(
        el("div", {}, el("dt", { text: label?.label ?? say(page, "files") }), el("dd", {}, ...files)),
      );
      continue;
    }
    list.append(
      el("div", {}, el("dt", { text: label?.label ?? name }), el("dd", {}, ...values(label, value))),
    );
  }
  const letter = text === "" ? null : el("p", { class: "letter-text", foreign: text });
  return el("div", {}, letter, list.childElementCount > 0 ? list : null);
}

/** A value, or each of a list, as people read it. */
function values(label: Label | undefined, value: string): HTMLElement[] {
  return listed(value).map((one) => {
    const words = label?.choices[one] ?? one;
    const map = /^-?\d{1,3}\.\d+,-?\d{1,3}\.\d+$/.test(one) ? { class: "place" } : {};
    return el("p", { ...map, foreign: words });
  });
}
