/** The form in which an official does something: which act, how long, to whom, and what is written to the citizen. */

import type { Submission } from "../civic/transaction";
import type { Trust } from "../civic/trust";
import { toHex } from "../net/bytes";
import { button, choice, clear, el, field, unique } from "../ui/dom";
import { compose, IN_DAYS, officeNumber } from "./acts";
import { bring, outcomeWords, untilSeen } from "./filing_view";
import type { Held } from "./keys";
import { fieldOf, type Opened } from "./open";
import { type Case, fill, type PageData, say } from "./words";

const TEXT_MAX = 20_000; // characters of one field: as the log takes them
/** Acts that mean nothing to a citizen without words. */
const WORDY: ReadonlySet<string> = new Set([
  ...["ask", "ask-again", "complete", "refuse", "return", "close", "decline", "not-adopt", "not-take-up"],
]);

type Language = "ko" | "en";

export function actForm(page: PageData, of: Case, seat: Held, opened: readonly Opened[], trust: Trust): void {
  const mine = of.assigned === toHex(seat.signer.public);
  const actions = [...new Set([...of.may.official, ...of.may.decider])].filter(
    (name) => !(mine && name === "reassign"), // nobody takes over from themselves
  );
  const form = document.getElementById("act") as HTMLFormElement;
  (document.getElementById("acts") as HTMLElement).hidden = false;
  if (actions.length === 0) {
    form.append(el("p", { text: say(page, "nothing") }));
    return;
  }
  new ActForm(page, of, seat, opened, trust, form, actions);
}

class ActForm {
  private action = ""; // none before one is chosen: nobody signs what happened to stand first
  private to = "";
  private language: Language;
  private readonly said = document.getElementById("said") as HTMLElement;
  private readonly fields = el("div");
  private readonly send: HTMLButtonElement;
  private readonly text = el("textarea", { attributes: { rows: "9", maxlength: String(TEXT_MAX) } });
  private readonly amount = el("input", { attributes: { type: "number", min: "1" } });
  /** What was made and may have been filed: it is sent again as it is. */
  private made: Submission | null = null;
  /** What the template leaves to the official to write. */
  private blanks: readonly string[] = [];

  constructor(
    private readonly page: PageData,
    private readonly of: Case,
    private readonly seat: Held,
    private readonly opened: readonly Opened[],
    private readonly trust: Trust,
    private readonly form: HTMLFormElement,
    actions: readonly string[],
  ) {
    this.language = page.language === "ko" ? "ko" : "en";
    this.send = el("button", { class: "primary", text: say(page, "send") });
    form.append(this.choose(actions), this.fields, el("p", {}, this.send));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.file();
    });
  }

  private choose(actions: readonly string[]): HTMLElement {
    const set = el("fieldset", {}, el("legend", { text: say(this.page, "act") }));
    const group = unique("action");
    for (const name of actions) {
      const radio = el("input", { attributes: { type: "radio", name: group, value: name, required: "" } });
      radio.addEventListener("change", () => {
        this.action = name;
        this.fill();
      });
      const label = this.page.actions?.[name] ?? name;
      set.append(el("label", { class: "choice" }, radio, el("span", { text: label })));
    }
    return set;
  }

  /** The fields that this act has. */
  private fill(): void {
    const { page, action } = this;
    clear(this.fields);
    this.said.textContent = "";
    const days = IN_DAYS.has(action);
    if (days || action === "extend") {
      this.amount.max = String(days ? (page.supplement_days ?? 1) : (page.term ?? 1));
      this.amount.value = days ? String(Math.min(7, page.supplement_days ?? 1)) : "1";
      this.fields.append(field(say(page, days ? "amount_days" : "amount_term"), this.amount));
    }
    if (action === "transfer") {
      const others = Object.entries(page.offices ?? {}).filter(([name]) => name !== this.of.office);
      this.to = others[0]?.[0] ?? "";
      this.fields.append(
        field(
          say(page, "to"),
          choice(others, this.to, (name) => (this.to = name)),
        ),
      );
    }
    if (this.seat.secret === null) {
      this.fields.append(el("p", { class: "notice", text: say(page, "opens_not") }));
      return;
    }
    this.fields.append(this.templates());
    const language = choice(
      [
        ["ko", "한국어"],
        ["en", "English"],
      ] as const,
      this.language,
      (chosen) => {
        this.language = chosen;
        this.fill();
      },
    );
    this.fields.append(
      field(say(page, "language"), language),
      field(say(page, "text"), this.text, say(page, "text_hint")),
    );
    this.text.required = WORDY.has(action);
  }

  /** What may be written, to begin with. */
  private templates(): HTMLElement {
    const words = this.page.letters?.[this.language];
    const fitting = (words?.templates ?? []).filter((one) => one.actions.includes(this.action));
    const options = [["", say(this.page, "template_none")], ...fitting.map((one) => [one.id, one.title])];
    const pick = (id: string): void => {
      const found = fitting.find((one) => one.id === id);
      if (words === undefined || found === undefined) return;
      const name = fieldOf(this.opened[0], "name") || words.anybody;
      this.blanks = found.text.match(/\([^(){}]+\)/g) ?? [];
      this.text.value = fill(found.text, { ...words.facts, name, days: this.amount.value });
      this.text.focus();
    };
    return field(say(this.page, "template"), choice(options as [string, string][], "", pick));
  }

  private async file(): Promise<void> {
    if (this.send.disabled || !this.form.reportValidity()) return;
    this.send.disabled = true;
    this.said.textContent = say(this.page, "sending");
    this.made ??= await this.write();
    if (this.made === null) {
      this.send.disabled = false;
      return;
    }
    this.fields.inert = true;
    const outcome = await bring(this.made, this.trust);
    this.said.textContent = outcomeWords(this.page, outcome);
    this.said.dataset.outcome = outcome.kind;
    if (outcome.kind === "accepted") {
      await untilSeen(this.of.stream, this.of.entry, this.of.seen);
      this.said.append(
        " ",
        button(say(this.page, "reload"), () => location.reload()),
      );
    } else if (outcome.kind === "refused") {
      this.made = null; // it was decided: another act, or the same after a look, is a new one
      this.said.append(
        " ",
        button(say(this.page, "reload"), () => location.reload()),
      );
      this.send.disabled = false;
      this.fields.inert = false;
    } else {
      this.send.textContent = say(this.page, "again");
      this.send.disabled = false;
    }
  }

  /** The submission of what the form says; null, and said, if it cannot be made. */
  private async write(): Promise<Submission | null> {
    const { stream, entry, seen } = this.of;
    const text = this.text.isConnected ? this.text.value.trim() : "";
    if (this.blanks.some((blank) => text.includes(blank))) return this.fault("text_brackets");
    const passes = this.action === "transfer";
    const to = passes ? this.trust.offices(this.to) : [];
    if (passes && to.length === 0) return this.fault("no_office_key");
    const amount = passes
      ? officeNumber(Object.keys(this.page.offices ?? {}), this.to)
      : this.amount.isConnected
        ? Number(this.amount.value)
        : 0;
    const act = { stream, entry, seen, action: this.action, amount };
    const written = {
      act,
      text,
      language: this.language,
      to,
    };
    try {
      const made = await compose(this.seat, this.opened, written, Date.now());
      return typeof made === "string" ? this.fault(made) : made;
    } catch (error) {
      if (error instanceof RangeError) return this.fault("too_long");
      throw error;
    }
  }

  private fault(why: string): null {
    this.said.textContent = say(this.page, why);
    return null;
  }
}
