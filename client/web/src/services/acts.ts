/** What a citizen may do with a request: one small form for each action, which becomes an act or a letter. */

import { type Attachment, attachmentOf, FILES, filesPaper } from "../civic/attachments";
import { type CaseAct, citizenOf, fileAct, fileLetter, replyKey } from "../civic/case";
import type { Outcome } from "../civic/filer";
import type { AttachmentRules, Sentences } from "../civic/form";
import { newSecrets, type Secrets, type Submission, withPapers } from "../civic/transaction";
import type { Request, Wallet } from "../civic/wallet";
import { button, el, unique } from "../ui/dom";
import { trust } from "./city";
import { type Attached, LetterFiles } from "./letter_files";
import { tell } from "./page";
import { bringAll, myself, send, thisMinute } from "./sending";
import { language, named, reason, say } from "./words";

/** A case as `/api/v1/cases` tells it. */
export interface Case {
  readonly stream: string;
  readonly entry: number;
  readonly key: string;
  readonly office: string;
  readonly state: string | null;
  readonly seen: number;
  /** How many support it; null where nobody is asked to. */
  readonly supporters: number | null;
  readonly erased: boolean;
  readonly may: Readonly<Record<string, readonly string[]>>;
  readonly acts: readonly {
    readonly entry: number;
    readonly action: string;
    readonly who: string;
    readonly letter: boolean;
    readonly erased: boolean;
  }[];
}

/** Actions that cannot be taken back, with which somebody may say why. */
const GRAVE = new Set(["withdraw", "cancel"]);
/** Actions that are a letter. */
const LETTERS = new Set(["supplement", "reopen"]);
const STARS = 5;
const DAYS_MOST = 60;
const NOTHING: Wish = { text: "", amount: 0, files: [] };

interface Wish {
  readonly text: string;
  readonly amount: number;
  readonly files: readonly Attached[];
}

/** The files of a letter did not arrive; the sentence that says so. */
class NotBrought extends Error {}

export class Acts {
  private busy = false;

  constructor(
    private readonly wallet: Wallet,
    private readonly own: Request,
    private readonly of: Case,
    private readonly attachments: AttachmentRules | null,
    private readonly words: Sentences,
    private readonly status: HTMLElement,
    private readonly done: () => void,
  ) {}

  /** The forms of everything that may be done now. */
  forms(): HTMLElement[] {
    return (this.of.may.citizen ?? []).map((action) => this.form(action));
  }

  private form(action: string): HTMLElement {
    const name = named(this.words.actions[action] ?? { en: action });
    const wrong = el("p", { class: "error", id: unique("wrong") });
    wrong.hidden = true;
    const form = el("form", { attributes: { novalidate: "" } });
    const [asked, read] = this.asked(action, wrong);
    form.append(...asked, wrong, el("p", {}, this.presser(action, name)));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void read().then((wish) => {
        wrong.hidden = typeof wish !== "string";
        tell(wrong, typeof wish === "string" ? wish : "");
        if (typeof wish === "string") form.querySelector<HTMLElement>("textarea, input")?.focus();
        else if (!GRAVE.has(action) || confirm(say("sure"))) void this.act(action, wish);
      });
    });
    if (asked.length === 0) return el("div", { class: "act" }, form);
    const fold = el("details", { class: "act" }, el("summary", { text: name }), form);
    fold.open = action === "supplement" || action === "rate";
    return fold;
  }

  private presser(action: string, name: string): HTMLButtonElement {
    const made = button(name, () => {}, { class: GRAVE.has(action) ? "grave" : "primary" });
    made.type = "submit";
    return made;
  }

  /** The controls of an action, and what reads them: a wish, or the sentence of what is missing. */
  private asked(action: string, wrong: HTMLElement): [HTMLElement[], () => Promise<Wish | string>] {
    if (action === "rate") {
      const name = unique("stars");
      const boxes = Array.from({ length: STARS }, (_, i) => {
        const box = el("input", { attributes: { type: "radio", name, value: String(i + 1) } });
        return el("label", { class: "option" }, box, el("span", { text: say("starsOf", { count: i + 1 }) }));
      });
      const group = el("fieldset", { class: "field" }, el("legend", { text: say("stars") }));
      group.setAttribute("aria-describedby", wrong.id);
      group.append(el("div", { class: "options" }, ...boxes));
      return [
        [group],
        async () => {
          const chosen = group.querySelector<HTMLInputElement>(":checked");
          return chosen === null ? say("starsNeeded") : { ...NOTHING, amount: Number(chosen.value) };
        },
      ];
    }
    if (action === "prolong") {
      const days = el("input", { class: "short", id: unique("days") });
      Object.assign(days, { type: "number", min: "1", max: String(DAYS_MOST), value: "7" });
      const label = el("label", { text: say("days"), attributes: { for: days.id } });
      return [
        [label, days],
        async () =>
          Number(days.value) >= 1 ? { ...NOTHING, amount: Math.floor(Number(days.value)) } : say("days"),
      ];
    }
    const needed = LETTERS.has(action);
    if (!needed && action !== "withdraw") return [[], async () => NOTHING];
    const text = el("textarea", { id: unique("letter") });
    text.rows = needed ? 5 : 2;
    text.dir = "auto";
    text.setAttribute("aria-describedby", wrong.id);
    const label = el("label", {
      text: say(needed ? "letterText" : "reasonText"),
      attributes: { for: text.id },
    });
    const rules = action === "supplement" ? this.attachments : null;
    const files = rules && new LetterFiles(rules, this.words, wrong.id);
    return [
      [label, text, ...(files?.controls ?? [])],
      async () => {
        if (needed && text.value.trim() === "") return say("letterNeeded");
        const looked = (await files?.look()) ?? [];
        return typeof looked === "string" ? looked : { text: text.value.trim(), amount: 0, files: looked };
      },
    ];
  }

  private async act(action: string, wish: Wish): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    tell(this.status, say("sending"));
    try {
      const outcome = await this.sent(action, wish);
      if (outcome.kind === "refused")
        tell(this.status, say("refused", { why: reason(this.words, outcome.reason, outcome.said) }));
      else if (outcome.kind === "unknown") tell(this.status, say("waiting"));
      else {
        tell(this.status, say("done"));
        this.done();
      }
    } catch (error) {
      if (!(error instanceof TypeError || error instanceof NotBrought)) throw error;
      tell(this.status, error instanceof NotBrought ? error.message : say("waiting"));
    } finally {
      this.busy = false;
    }
  }

  /** An act that was made already is sent again as it is: a retry is no second act. */
  private async sent(action: string, wish: Wish): Promise<Outcome> {
    const shown = {
      action,
      text: wish.text,
      amount: wish.amount,
      files: wish.files.map(({ hash }) => hash).join(),
    };
    const before = (await this.wallet.acts(this.own.id)).find(
      (act) => act.standing === "sending" && JSON.stringify(act.shown) === JSON.stringify(shown),
    );
    return send(this.wallet, before ?? (await this.make(action, wish, shown)));
  }

  private async make(
    action: string,
    wish: Wish,
    shown: Readonly<Record<string, string | number>>,
  ): Promise<Request> {
    const { stream, entry, seen, office } = this.of;
    const act: CaseAct = { stream, entry, seen, action, amount: wish.amount };
    const minute = thisMinute();
    const citizen = citizenOf(this.own.secrets);
    const secrets = newSecrets();
    let submission: Submission;
    if (wish.text === "") submission = await fileAct(act, citizen, minute, secrets.seed);
    else {
      const keys = await trust();
      // the office that has it now, the one that keeps the record, and the person's own devices
      const offices = [...keys.offices(office), ...(office === stream ? [] : keys.offices(stream))];
      const readers = [...offices, replyKey(this.own.secrets).public];
      const hashes = wish.files.map(({ hash }) => hash);
      const fields = hashes.length > 0 ? [{ name: FILES, value: JSON.stringify(hashes) }] : [];
      const letter = { text: wish.text, language, fields };
      const { device } = await myself(this.wallet);
      const written = await fileLetter(act, letter, citizen, device, readers, minute, secrets);
      const paper = await filesPaper(await this.brought(wish.files, secrets), written.filing.key);
      submission = paper === null ? written : withPapers(written, [paper]);
    }
    const files = wish.files.map(({ hash, name }) => ({ hash, name }));
    return this.wallet.begin(submission, secrets, { service: action, about: this.own.id, files, shown });
  }

  /** Brings the files of a letter to the store of the log's holder, locked under the letter's own key. */
  private async brought(files: readonly Attached[], secrets: Secrets): Promise<Attachment[]> {
    const brought = files.map(({ hash, data }) => ({
      attachment: attachmentOf(secrets.blobKey, hash),
      data,
    }));
    const fault = await bringAll(this.of.stream, brought, (done) =>
      tell(this.status, say("bringing", { percent: Math.round(100 * done) })),
    );
    if (fault === "lost") throw new NotBrought(say("filesLost"));
    if (fault !== null)
      throw new NotBrought(say("refused", { why: reason(this.words, fault.reason, fault.said) }));
    return brought.map(({ attachment }) => attachment);
  }
}
