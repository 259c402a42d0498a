/** What is written over the picture: where one is, the time, how the connection stands, and short tidings. */

import { type Key, say, timeOfDay } from "../words";
import { el } from "./dom";
import type { Page } from "./page";
import { describe, describePeople, where } from "./where";

const DESCRIBE_MS = 9000;
/** A sentence stays for a moment to be seen, and as long as it takes to read. */
const TOAST_MS = 3500;
const READ_MS = 60; // a letter
const TOASTS_MAX = 4;

export class Head {
  readonly box = el("header", { class: "head" });
  readonly status = el("p", { class: "status", attributes: { role: "status", hidden: "" } });
  readonly toasts = el("div", { class: "toasts", attributes: { role: "status" } });
  /** Only for those who listen. */
  readonly spoken = el("p", { class: "spoken", attributes: { "aria-live": "polite" } });
  private readonly title = el("h1", { class: "place" });
  private readonly detail = el("p", { class: "place-detail" });
  private describeAt = DESCRIBE_MS;
  private described = "";

  constructor(private readonly page: Page) {
    this.box.append(this.title, this.detail);
  }

  /** Writes where and when it is now. */
  write(): void {
    const { view } = this.page;
    const { place, gu } = where(this.page);
    put(this.title, place || gu || say("world"));
    const clock = timeOfDay(view.serverTime());
    put(this.detail, [place === "" ? "" : gu, clock].filter((part) => part !== "").join(" · "));
    const text: Partial<Record<typeof view.link, Key>> = {
      joining: "joining",
      "back in a moment": "inAMoment",
      stopped: "stopped",
    };
    const key = navigator.onLine ? text[view.link] : "offline";
    this.status.hidden = key === undefined;
    if (key !== undefined) put(this.status, say(key));
    this.status.className = `status ${view.link.replaceAll(" ", "-")}`;
  }

  /** Has it read where one is, when that has changed; now and then. */
  describe(nowMs: number): void {
    if (nowMs < this.describeAt) return;
    this.describeAt = nowMs + DESCRIBE_MS;
    const lines = describe(this.page);
    if (lines[0] === this.described || this.page.view.me === null) return;
    this.described = lines[0] ?? "";
    this.announce([...lines, ...describePeople(this.page)].join(" "));
  }

  toast(text: string): void {
    const one = el("p", { class: "toast", foreign: text });
    this.toasts.append(one);
    while (this.toasts.childElementCount > TOASTS_MAX) this.toasts.firstElementChild?.remove();
    setTimeout(() => one.remove(), TOAST_MS + READ_MS * text.length);
  }

  announce(text: string): void {
    this.spoken.textContent = text;
  }
}

/** Sets a text only when it changed, so that readers are not disturbed. */
function put(node: Element, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}
