/** Cards in the middle of the page that want an answer: the welcome, a line of text, a report, being elsewhere. */

import { readLook, writeLook } from "../draw/look";
import type { Said } from "../state/world";
import { type Key, language, say, speak, told } from "../words";
import { clean, cleanName, SAID_SHOWN, sendable } from "../words/clean";
import { button, choice, clear, el, field } from "./dom";
import { lookCard } from "./looks";
import type { Page } from "./page";

/** A modal card; `null` from `closed` means it was left by Escape. */
function card(title: string, ...body: Node[]): HTMLDialogElement {
  const heading = el("h2", { text: title, id: `card-${Math.random().toString(36).slice(2)}` });
  const dialog = el(
    "dialog",
    { class: "card", attributes: { "aria-labelledby": heading.id } },
    heading,
    ...body,
  );
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
  return dialog;
}

/** The first visit: a name, a look, and in. */
export function welcome(page: Page, entered: () => void): void {
  let dialog: HTMLDialogElement | null = null;
  const build = (): void => {
    const before = dialog;
    const start = readLook(page.world.look, Math.floor(Math.random() * 2 ** 31));
    const { form } = lookCard(page.world.name, start, say("enter"), (name, look) => {
      page.sound.wake();
      page.world.profile(name, writeLook(look));
      page.settings.known = true;
      page.changed();
      page.world.gesture();
      dialog?.close();
      entered();
    });
    const other = button(say("otherLanguage"), () => {
      speak(language() === "ko" ? "en" : "ko");
      build();
    });
    other.lang = language() === "ko" ? "en" : "ko";
    other.className = "quiet-button";
    const desk = el("a", {
      class: "desk-link",
      text: say("citizenServicesGo"),
      attributes: { href: `/${language()}` },
    });
    const lead = el("p", { class: "lead", text: say("welcomeText") });
    // above the form, so that it is seen on a phone; who presses Enter comes in all the same
    form.querySelector("input")?.setAttribute("autofocus", "");
    const made = card(say("welcomeTitle"), lead, desk, form, other);
    made.classList.add("welcome");
    made.addEventListener("cancel", (event) => event.preventDefault());
    dialog = made;
    before?.close();
  };
  build();
}

export function ask(
  title: string,
  hint: string,
  label: string,
  go: string,
  limit: number,
): Promise<string | null> {
  return new Promise((resolve) => {
    const input = el("textarea", {
      class: "foreign",
      attributes: { rows: "3", maxlength: String(limit), dir: "auto" },
    });
    let answer: string | null = null;
    const finish = (): void => {
      const text = sendable(input.value);
      if (text === "") {
        input.focus();
        return;
      }
      answer = text;
      dialog.close();
    };
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
      event.preventDefault();
      finish();
    });
    const cancel = button(say("cancel"), () => dialog.close());
    const done = button(go, finish, { class: "primary" });
    const dialog = card(title, field(label, input, hint), el("div", { class: "row end" }, cancel, done));
    dialog.addEventListener("close", () => resolve(answer));
    input.focus();
  });
}

const WHY: readonly Key[] = ["abuse", "spam", "sexual", "impersonation", "privacy", "danger"];

export function report(page: Page, said: Said): void {
  let why: Key = "abuse";
  const reason = choice(
    WHY.map((key) => [key, say(key)] as const),
    why,
    (key) => {
      why = key as Key;
    },
  );
  const send = button(
    say("report"),
    () => {
      send.disabled = true;
      void page.world.report(said, why).then(
        (done) =>
          page.toast(done.durable === "" ? told(done.reason, done.sentence, "tryAgain") : say("reported")),
        () => page.toast(say("tryAgain")),
      );
      dialog.close();
    },
    { class: "primary" },
  );
  const dialog = card(
    say("report"),
    el("blockquote", { foreign: `${cleanName(said.name, "…")}: ${clean(said.text, SAID_SHOWN)}` }),
    field(say("reportWhy"), reason, say("reportNote")),
    el(
      "div",
      { class: "row end" },
      button(say("cancel"), () => dialog.close()),
      send,
    ),
  );
}

/** One is logged in elsewhere: nothing happens here until the person says so. */
export function elsewhere(page: Page, place: "device" | "tab"): HTMLDialogElement {
  const dialog = card(
    say("elsewhereTitle"),
    el("p", { text: say(place === "tab" ? "elsewhereTab" : "elsewhereDevice") }),
    button(
      say("takeOver"),
      () => {
        page.world.gesture();
        dialog.close();
      },
      { class: "primary" },
    ),
  );
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  return dialog;
}

/** What to do first, as buttons over the picture; gone after the first choice. */
export function suggestions(page: Page, host: HTMLElement): void {
  const box = el("section", { class: "suggest", label: say("suggest") });
  const gone = (): void => box.remove();
  const one = (title: string, text: string, go: () => void): HTMLElement => {
    const made = el(
      "button",
      { class: "suggest-one", attributes: { type: "button" } },
      el("strong", { text: title }),
      el("span", { text }),
    );
    made.addEventListener("click", () => {
      gone();
      go();
    });
    return made;
  };
  clear(box);
  const close = button("×", gone, { class: "suggest-close", label: say("close") });
  box.append(
    el("h2", { text: say("suggest") }),
    close,
    el(
      "div",
      { class: "suggest-row" },
      one(say("suggestTalk"), say("suggestTalkText"), () => page.talk("near")),
      one(say("suggestBus"), say("suggestBusText"), () => page.bus()),
      one(say("suggestLantern"), say("suggestLanternText"), () => page.hang()),
      one(say("suggestBell"), say("suggestBellText"), () => page.ring()),
    ),
  );
  host.append(box);
}
