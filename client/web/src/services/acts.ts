/** What a citizen may do with a request: one small form for each action, which becomes an act or a letter. */

import { type CaseAct, citizenOf, fileAct, fileLetter, replyKey } from "../civic/case";
import { file, type Outcome } from "../civic/filer";
import type { Sentences } from "../civic/form";
import { newSecrets, type Submission } from "../civic/transaction";
import { button, el, unique } from "../ui/dom";
import { nodes, trust } from "./city";
import { tell } from "./page";
import type { KeptRequest, Store } from "./store";
import { language, named, reason, say } from "./words";

/** A case as `/api/v1/cases` tells it. */
export interface Case {
  readonly stream: string;
  readonly entry: number;
  readonly state: string | null;
  readonly seen: number;
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

interface Wish {
  readonly text: string;
  readonly amount: number;
}

export class Acts {
  private busy = false;

  constructor(
    private readonly store: Store,
    private readonly own: KeptRequest,
    private readonly of: Case,
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
      const wish = read();
      wrong.hidden = typeof wish !== "string";
      tell(wrong, typeof wish === "string" ? wish : "");
      if (typeof wish === "string") form.querySelector<HTMLElement>("textarea, input")?.focus();
      else if (!GRAVE.has(action) || confirm(say("sure"))) void this.act(action, wish);
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
  private asked(action: string, wrong: HTMLElement): [HTMLElement[], () => Wish | string] {
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
        () => {
          const chosen = group.querySelector<HTMLInputElement>(":checked");
          return chosen === null ? say("starsNeeded") : { text: "", amount: Number(chosen.value) };
        },
      ];
    }
    if (action === "prolong") {
      const days = el("input", { class: "short", id: unique("days") });
      Object.assign(days, { type: "number", min: "1", max: String(DAYS_MOST), value: "7" });
      const label = el("label", { text: say("days"), attributes: { for: days.id } });
      return [
        [label, days],
        () => (Number(days.value) >= 1 ? { text: "", amount: Math.floor(Number(days.value)) } : say("days")),
      ];
    }
    const needed = LETTERS.has(action);
    if (!needed && action !== "withdraw") return [[], () => ({ text: "", amount: 0 })];
    const text = el("textarea", { id: unique("letter") });
    text.rows = needed ? 5 : 2;
    text.dir = "auto";
    text.setAttribute("aria-describedby", wrong.id);
    const label = el("label", {
      text: say(needed ? "letterText" : "reasonText"),
      attributes: { for: text.id },
    });
    return [
      [label, text],
      () =>
        needed && text.value.trim() === "" ? say("letterNeeded") : { text: text.value.trim(), amount: 0 },
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
      if (!(error instanceof TypeError)) throw error;
      tell(this.status, say("waiting"));
    } finally {
      this.busy = false;
    }
  }

  /** The same act, once made, is sent again as it is: a retry is no second act. */
  private readonly made = new Map<string, Submission>();

  private async sent(action: string, wish: Wish): Promise<Outcome> {
    const known = JSON.stringify([action, wish]);
    const keys = await trust();
    const submission = this.made.get(known) ?? (await this.make(action, wish, keys.offices(this.of.stream)));
    this.made.set(known, submission);
    return file({ submission, trust: keys, urls: await nodes(), waitMs: 20_000 });
  }

  private async make(action: string, wish: Wish, offices: readonly Uint8Array[]): Promise<Submission> {
    const { stream, entry, seen } = this.of;
    const act: CaseAct = { stream, entry, seen, action, amount: wish.amount };
    const minute = Math.floor(Date.now() / 60_000);
    const citizen = citizenOf(this.own.secrets);
    const secrets = newSecrets();
    if (wish.text === "") return fileAct(act, citizen, minute, secrets.seed);
    const readers = [...offices, replyKey(this.own.secrets).public];
    const letter = { text: wish.text, language };
    return fileLetter(act, letter, citizen, await this.store.identity(), readers, minute, secrets);
  }
}
