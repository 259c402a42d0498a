/** The sheet at the side: one panel at a time, closed by Escape, giving the focus back to what opened it. */

import { named, onLanguage, say } from "../words";
import { cleanName } from "../words/clean";
import { clear, el, icon } from "./dom";
import { ICON } from "./icons";
import type { Page, PanelName } from "./page";
import { board } from "./panel/board";
import { counter } from "./panel/counter";
import { nameOf, person, who } from "./panel/people";
import { search } from "./panel/search";
import { settings } from "./panel/settings";
import type { Sheet } from "./panel/sheet";
import { today } from "./panel/today";
import { drum, help, look } from "./panel/together";
import { words } from "./panel/words";

const FRESH_MS = 1500;

export class Panels implements Sheet {
  readonly box = el("aside", { class: "panel", attributes: { hidden: "" } });
  shown: PanelName | null = null;
  private opener: Element | null = null;
  readonly body = el("div", { class: "panel-body" });
  private fresh: (() => void) | null = null;
  private freshAt = 0;

  constructor(readonly page: Page) {
    this.box.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        event.stopPropagation();
        this.close();
      }
    });
    onLanguage(() => {
      if (this.shown !== null) this.open(this.shown);
    });
  }

  toggle(name: PanelName): void {
    if (this.shown === name) this.close();
    else this.open(name);
  }

  open(name: PanelName): void {
    document.querySelector(".suggest")?.remove();
    if (this.shown === null) this.opener = document.activeElement;
    const again = this.shown === name;
    this.shown = name;
    this.fresh = null;
    const title = this.title(name);
    const heading = el("h2", { text: title, id: "panel-title", attributes: { tabindex: "-1" } });
    const close = el(
      "button",
      { class: "tool", label: say("close"), attributes: { type: "button" } },
      icon(ICON.close),
    );
    close.addEventListener("click", () => this.close());
    clear(this.body);
    this.box.replaceChildren(el("div", { class: "panel-head" }, heading, close), this.body);
    this.box.setAttribute("aria-labelledby", "panel-title");
    this.box.hidden = false;
    document.documentElement.classList.add("panel-open");
    const first = this.fill(name);
    if (!again) (first ?? heading).focus();
  }

  close(): void {
    if (this.shown === null) return;
    this.shown = null;
    this.fresh = null;
    this.box.hidden = true;
    document.documentElement.classList.remove("panel-open");
    const back =
      this.opener instanceof HTMLElement && this.opener.isConnected && this.opener !== document.body
        ? this.opener
        : document.querySelector("canvas");
    (back as HTMLElement | null)?.focus();
  }

  /** Keeps living lists living; called often, works seldom. */
  tick(nowMs: number): void {
    if (this.fresh === null || nowMs < this.freshAt) return;
    this.freshAt = nowMs + FRESH_MS;
    this.fresh();
  }

  private title(name: PanelName): string {
    switch (name) {
      case "board": {
        const place = this.page.placeHere();
        return place === null ? say("board") : say("boardOf", { place: named(place.name) });
      }
      case "look":
        return say("profile");
      case "help":
        return say("keys");
      case "drum":
        return say("drumTogether");
      case "person":
        return cleanName(nameOf(this.page, this.page.selected ?? 0), "…");
      default:
        return say(name);
    }
  }

  private fill(name: PanelName): HTMLElement | null {
    switch (name) {
      case "search":
        return search(this);
      case "who":
        this.live(() => who(this));
        return null;
      case "today":
        today(this);
        return null;
      case "settings":
        settings(this);
        return null;
      case "words":
        this.live(() => words(this));
        return null;
      case "help":
        help(this);
        return null;
      case "board":
        board(this);
        return null;
      case "counter":
        this.live(() => counter(this));
        return null;
      case "look":
        return look(this);
      case "person":
        this.person(this.page.selected ?? 0);
        return null;
      case "drum":
        return drum(this);
    }
  }

  /** The card of a person, written again when their name comes. */
  private person(id: number): void {
    const name = nameOf(this.page, id);
    this.live(() => {
      if (nameOf(this.page, id) !== name) this.open("person");
    });
    person(this, id);
  }

  private live(draw: () => void): void {
    this.fresh = draw;
    this.freshAt = performance.now() + FRESH_MS;
    draw();
  }
}
