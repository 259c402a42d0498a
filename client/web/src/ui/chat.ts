/** Talking: the log, the channels, and a line that lets Hangul be composed in peace. */

import { sha512 } from "@noble/hashes/sha2.js";
import type { Channel, Said } from "../state/world";
import { say, timeOfDay } from "../words";
import { clean, cleanName, SAID_SHOWN, sendable } from "../words/clean";
import { report } from "./dialogs";
import { button, choice, clear, el, icon } from "./dom";
import { ICON } from "./icons";
import type { Page } from "./page";

const LINES_MAX = 120;
const SEND_MAX = 300;

export class Chat {
  readonly box: HTMLElement;
  private readonly log = el("div", { class: "log", attributes: { role: "log", tabindex: "0" } });
  private readonly input: HTMLTextAreaElement;
  private readonly bar = el("div", { class: "chat-bar" });
  private readonly badge = el("span", { class: "badge", attributes: { hidden: "" } });
  private readonly extra = el("div", { class: "chat-extra" });
  private channel: Channel = "near";
  private to: number | null = null;
  private groupKey = "";
  private unread = 0;
  private composing = false;

  constructor(private readonly page: Page) {
    this.input = el("textarea", {
      class: "foreign",
      id: "talk",
      attributes: {
        rows: "1",
        maxlength: String(SEND_MAX),
        dir: "auto",
        enterkeyhint: "send",
        autocomplete: "off",
      },
    });
    this.input.addEventListener("compositionstart", () => {
      this.composing = true;
    });
    this.input.addEventListener("compositionend", () => {
      this.composing = false;
    });
    this.input.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        this.input.blur();
        return;
      }
      // while a syllable is being composed, Enter ends the syllable, not the line
      if (
        event.key !== "Enter" ||
        event.shiftKey ||
        event.isComposing ||
        this.composing ||
        event.keyCode === 229
      )
        return;
      event.preventDefault();
      this.send();
    });
    this.box = el("section", { class: "chat folded" });
    this.words();
    page.world.on("said", (said) => this.hear(said));
  }

  /** Writes everything in the present language. */
  words(): void {
    this.box.setAttribute("aria-label", say("chat"));
    this.log.setAttribute("aria-label", say("chat"));
    this.input.setAttribute("aria-label", say("message"));
    this.input.placeholder = say("message");
    const fold = el("button", {
      class: "chat-head",
      attributes: { type: "button", "aria-expanded": String(!this.folded) },
    });
    fold.append(icon(ICON.chat), el("span", { text: say("chat") }), this.badge);
    fold.addEventListener("click", () => {
      this.fold(!this.folded);
      fold.setAttribute("aria-expanded", String(!this.folded));
    });
    const send = el("button", {
      class: "primary send",
      label: say("send"),
      attributes: { type: "button" },
      text: "↵",
    });
    send.addEventListener("click", () => this.send());
    this.channels();
    this.box.replaceChildren(fold, this.log, this.extra, this.bar);
    this.bar.append(this.input, send);
  }

  /** Ready to write. */
  focus(channel?: Channel, to?: number): void {
    if (channel !== undefined) {
      this.channel = channel;
      this.to = to ?? null;
      this.channels();
      this.words();
    }
    document.querySelector(".suggest")?.remove();
    this.fold(false);
    this.input.focus();
  }

  private get folded(): boolean {
    return this.box.classList.contains("folded");
  }

  private fold(on: boolean): void {
    this.box.classList.toggle("folded", on);
    if (!on) {
      this.unread = 0;
      this.badge.hidden = true;
      this.log.scrollTop = this.log.scrollHeight;
    }
  }

  private channels(): void {
    clear(this.bar);
    clear(this.extra);
    const options: [Channel, string][] = [
      ["near", say("near")],
      ["place", say("placeChannel")],
      ["group", say("group")],
    ];
    if (this.to !== null) options.push(["direct", say("direct")]);
    const select = choice(options, this.channel, (channel) => {
      this.channel = channel;
      this.words();
    });
    select.setAttribute("aria-label", say("chat"));
    this.bar.append(select);
    if (this.channel === "direct" && this.to !== null) {
      const name = cleanName(
        this.page.view.people.get(this.to)?.name ?? this.page.remembered.friends.get(this.to),
        "…",
      );
      this.extra.append(el("span", { foreign: say("whisperTo", { name }) }));
    }
    if (this.channel === "group") this.groupLine();
  }

  private groupLine(): void {
    const secret = el("input", {
      class: "foreign",
      label: say("groupSecret"),
      attributes: { placeholder: say("groupSecret"), maxlength: "60" },
    });
    const join = button(this.groupKey === "" ? say("groupJoin") : say("groupLeave"), () => {
      if (this.groupKey !== "") {
        this.page.world.group(this.groupKey, false);
        this.groupKey = "";
        this.words();
        return;
      }
      const text = secret.value.trim();
      if (text === "") return;
      this.groupKey = secretId(text);
      this.page.world.group(this.groupKey, true);
      this.words();
      this.input.focus();
    });
    this.extra.append(
      el("span", { class: "hint", text: say("groupHint") }),
      ...(this.groupKey === "" ? [secret] : []),
      join,
    );
  }

  private send(): void {
    const text = sendable(this.input.value);
    if (text === "") return;
    const { world } = this.page;
    const to =
      this.channel === "direct"
        ? (this.to ?? undefined)
        : this.channel === "group"
          ? this.groupKey
          : undefined;
    const sent = (this.channel !== "group" || this.groupKey !== "") && world.say(this.channel, text, to);
    if (!sent) {
      this.page.toast(say("notSent"));
      return;
    }
    this.input.value = "";
  }

  private hear(said: Said): void {
    const { page } = this;
    if (page.world.blocked.has(said.id) || page.remembered.muted.has(said.id)) return;
    const mine = said.id === page.view.me?.id;
    const name = cleanName(said.name, "…");
    const line = el("div", { class: `line ${said.channel}${mine ? " mine" : ""}` });
    const who = mine
      ? el("strong", { text: say("you") })
      : button(name, () => page.person(said.id), { class: "who foreign" });
    who.dir = "auto";
    line.append(el("time", { text: timeOfDay(said.ms) }), who);
    if (said.kind !== "person")
      line.append(el("span", { class: "tag", text: say(said.kind === "ai" ? "ai" : "program") }));
    if (said.channel !== "near") {
      line.append(
        el("span", { class: "tag", text: say(said.channel === "place" ? "placeChannel" : said.channel) }),
      );
    }
    line.append(el("span", { class: "text", foreign: clean(said.text, SAID_SHOWN) }));
    if (!mine) {
      line.append(
        button("⚑", () => report(page, said), {
          class: "flag",
          label: `${say("report")}: ${name}`,
          title: say("report"),
        }),
      );
    }
    const low = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 40;
    this.log.append(line);
    while (this.log.childElementCount > LINES_MAX) this.log.firstElementChild?.remove();
    if (low) this.log.scrollTop = this.log.scrollHeight;
    if (said.channel === "direct" && !mine) page.sound.chime();
    if (this.folded && !mine) {
      this.unread += 1;
      this.badge.hidden = false;
      this.badge.textContent = this.unread > 99 ? "99+" : String(this.unread);
      this.badge.setAttribute("aria-label", say("newMessages", { count: this.unread }));
    }
  }
}

/** A group is known by 16 bytes that only those who know its words can make. */
function secretId(words: string): string {
  const text = new TextEncoder().encode(`p2pworld group v1\n${words.normalize("NFKC").trim().toLowerCase()}`);
  return Array.from(sha512(text).subarray(0, 16), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
