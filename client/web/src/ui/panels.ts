/** The sheet at the side: one panel at a time, closed by Escape, giving the focus back to what opened it. */

import { nodeColour } from "../draw/flat";
import { readLook, writeLook } from "../draw/look";
import type { Place } from "../state/places";
import { dayAndTime, language, named, onLanguage, say, speak, told } from "../words";
import { clean, cleanName, NAME_SHOWN, WISH_SHOWN } from "../words/clean";
import { report } from "./dialogs";
import { button, choice, clear, el, field, icon, toggle } from "./dom";
import { ICON } from "./icons";
import { lookCard } from "./looks";
import type { Page, PanelName } from "./page";
import { around, describe, describePeople } from "./where";

const FRESH_MS = 1500;
const LISTED_MAX = 40;
const NOTE_REACH_M = 40;

export class Panels {
  readonly box = el("aside", { class: "panel", attributes: { hidden: "" } });
  private shown: PanelName | null = null;
  private opener: Element | null = null;
  private readonly body = el("div", { class: "panel-body" });
  private fresh: (() => void) | null = null;
  private freshAt = 0;

  constructor(private readonly page: Page) {
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

  get open_(): PanelName | null {
    return this.shown;
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
      this.opener instanceof HTMLElement && this.opener.isConnected
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
        return cleanName(this.nameOf(this.page.selected ?? 0), "…");
      default:
        return say(name);
    }
  }

  private nameOf(id: number): string | undefined {
    return (
      this.page.view.people.get(id)?.name ??
      this.page.remembered.friends.get(id) ??
      this.page.world.blocked.get(id)
    );
  }

  private fill(name: PanelName): HTMLElement | null {
    switch (name) {
      case "search":
        return this.search();
      case "who":
        this.live(() => this.who());
        return null;
      case "today":
        this.today();
        return null;
      case "settings":
        this.settings();
        return null;
      case "words":
        this.live(() => this.words());
        return null;
      case "help":
        this.help();
        return null;
      case "board":
        this.board();
        return null;
      case "look":
        return this.look();
      case "person":
        this.person(this.page.selected ?? 0);
        return null;
      case "drum":
        return this.drum();
    }
  }

  private live(draw: () => void): void {
    this.fresh = draw;
    this.freshAt = performance.now() + FRESH_MS;
    draw();
  }

  private search(): HTMLElement {
    const { page } = this;
    const list = el("div", { class: "found" });
    const input = el("input", {
      class: "foreign",
      label: say("search"),
      attributes: { type: "search", placeholder: say("searchHint"), dir: "auto" },
    });
    const go = (name: string, text: string): void => {
      page.world.go(name);
      page.camera.following = true;
      page.toast(say("arrived", { place: text }));
      this.close();
    };
    const row = (text: string, detail: string, run: () => void): HTMLElement =>
      el(
        "li",
        {},
        button(text, run, { class: "row-button foreign" }),
        el("span", { class: "detail", text: detail }),
      );
    const group = (title: string, rows: HTMLElement[]): HTMLElement | null =>
      rows.length === 0
        ? null
        : el("section", {}, el("h3", { text: title }), el("ul", { class: "rows" }, ...rows));
    const fill = (): void => {
      const wanted = input.value.trim().toLocaleLowerCase();
      const fits = (...names: (string | undefined)[]): boolean =>
        wanted === "" || names.some((name) => name?.toLocaleLowerCase().includes(wanted));
      const places = page.world.places?.all ?? [];
      const known = new Set(places.flatMap((place) => Object.values(place.name)));
      const placeRows = places
        .filter((place) => fits(place.id, ...Object.values(place.name)))
        .map((place) =>
          row(named(place.name), place.ground === "city" ? this.far(place) : "", () =>
            go(place.id, named(place.name)),
          ),
        );
      const landmarkRows = (page.city?.landmarks ?? [])
        .filter(
          (spot) =>
            !known.has(spot.name.ko ?? "") &&
            !known.has(spot.name.en ?? "") &&
            fits(spot.name.ko, spot.name.en),
        )
        .map((spot) => row(named(spot.name), "", () => go(spot.name.en ?? "", named(spot.name))));
      const friendRows = [...page.remembered.friends]
        .filter(([, name]) => fits(name))
        .map(([id, name]) => row(cleanName(name, "…"), "", () => go(`friend:${id}`, cleanName(name, "…"))));
      const stopRows = (page.city?.stops ?? [])
        .slice(0, -1)
        .filter((stop) => wanted !== "" && fits(stop.name.ko, stop.name.en));
      const groups = [
        group(say("friends"), friendRows),
        group(say("places"), placeRows),
        group(say("landmarks"), landmarkRows),
        group(
          say("stops"),
          stopRows.map((stop) =>
            row(named(stop.name), "", () => {
              page.camera.lookAt(stop.east, stop.north);
              this.close();
            }),
          ),
        ),
      ].filter((one) => one !== null);
      list.replaceChildren(...(groups.length === 0 ? [el("p", { text: say("noneFound") })] : groups));
    };
    input.addEventListener("input", fill);
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.isComposing) list.querySelector("button")?.click();
    });
    this.body.append(input, el("p", { class: "hint", text: say("goHere") }), list);
    fill();
    return input;
  }

  private far(place: Place): string {
    const me = this.page.view.me;
    if (me === null) return "";
    const away = Math.hypot(place.middle.east - me.east, place.middle.north - me.north);
    return away < 950 ? `${Math.round(away / 10) * 10} m` : `${(away / 1000).toFixed(1)} km`;
  }

  private who(): void {
    const { page } = this;
    const near = around(page);
    const focused =
      document.activeElement instanceof HTMLElement ? document.activeElement.dataset.id : undefined;
    const list = el("ul", { class: "rows" });
    for (const one of near.nearest.slice(0, LISTED_MAX)) {
      const name = button(one.name, () => page.person(one.id), { class: "row-button foreign" });
      name.dataset.id = String(one.id);
      list.append(
        el(
          "li",
          {},
          name,
          one.program ? el("span", { class: "tag", text: say("program") }) : null,
          el("span", { class: "detail", text: `${Math.round(one.away)} m` }),
        ),
      );
    }
    const total = el(
      "p",
      { class: "count" },
      el("strong", { text: say("peopleHere", { count: near.people + 1 }) }),
    );
    total.append(el("span", { class: "tag", text: say("programsHere", { count: near.programs }) }));
    const crowd = near.crowd + near.unknown;
    clear(this.body);
    this.body.append(total);
    if (crowd > 0) this.body.append(el("p", { class: "hint", text: say("crowdAround", { count: crowd }) }));
    this.body.append(list);
    if (focused !== undefined)
      this.body.querySelector<HTMLElement>(`[data-id="${CSS.escape(focused)}"]`)?.focus();
  }

  private person(id: number): void {
    const { page } = this;
    const { remembered, world } = page;
    const person = page.view.people.get(id);
    const name = cleanName(this.nameOf(id), "…");
    const again = (): void => this.open("person");
    const note =
      person !== undefined && person.kind !== "person" ? say(person.kind === "ai" ? "ai" : "program") : "";
    if (note !== "") this.body.append(el("p", {}, el("span", { class: "tag", text: note })));
    const last = page.heard.filter((said) => said.id === id).slice(-5);
    const actions = el("div", { class: "stack" });
    actions.append(
      button(say("direct"), () => {
        this.close();
        page.talk("direct", id);
      }),
      button(remembered.friends.has(id) ? say("unfriend") : say("befriend"), () => {
        if (!remembered.friends.delete(id))
          remembered.friends.set(id, clean(person?.name ?? "…", NAME_SHOWN));
        remembered.keep();
        again();
      }),
      button(remembered.muted.has(id) ? say("unmute") : say("mute"), () => {
        if (!remembered.muted.delete(id)) remembered.muted.add(id);
        again();
      }),
      button(world.blocked.has(id) ? say("unblock") : say("block"), () => {
        world.block(id, !world.blocked.has(id), name);
        again();
      }),
    );
    if (remembered.friends.has(id)) {
      actions.prepend(button(say("goHere"), () => world.go(`friend:${id}`), { class: "primary" }));
    }
    this.body.append(actions);
    if (last.length > 0) {
      const list = el("ul", { class: "rows" });
      for (const said of last) {
        list.append(
          el(
            "li",
            {},
            el("span", { foreign: clean(said.text, 160) }),
            button(say("report"), () => report(page, said), { class: "flag" }),
          ),
        );
      }
      this.body.append(el("h3", { text: say("message") }), list);
    }
  }

  private today(): void {
    const { page } = this;
    const now = page.view.serverTime();
    const programmes = [...(page.world.places?.programmes ?? [])].sort(
      (a, b) =>
        (Number.isNaN(a.nextMs) ? Number.MAX_VALUE : a.nextMs) -
        (Number.isNaN(b.nextMs) ? Number.MAX_VALUE : b.nextMs),
    );
    if (programmes.length === 0) this.body.append(el("p", { text: say("noProgramme") }));
    for (const programme of programmes) {
      const place = page.world.places?.byId.get(programme.place);
      const on = programme.nextMs <= now && now < programme.nextMs + programme.durationS * 1000;
      const minutes = Math.round((programme.nextMs - now) / 60_000);
      const when = Number.isNaN(programme.nextMs)
        ? ""
        : on
          ? say("onNow")
          : minutes < 90
            ? say("startsIn", { minutes })
            : say("startsAt", { time: dayAndTime(programme.nextMs) });
      const box = el(
        "article",
        { class: `programme${on ? " on" : ""}` },
        el("h3", { text: named(programme.name) }),
        el("p", {
          class: "detail",
          text: [place === undefined ? "" : named(place.name), when]
            .filter((part) => part !== "")
            .join(" · "),
        }),
        el("p", { text: named(programme.about) }),
      );
      const row = el("div", { class: "row" });
      row.append(
        button(say("goHere"), () => {
          page.world.go(programme.place);
          this.close();
        }),
      );
      if (programme.rehearsal) {
        row.append(
          button(say("rehearse"), () => {
            void page.world.act("start", programme.id).then((done) => {
              page.toast(done.durable === "" ? told(done.reason, done.sentence) : say("rehearsalOn"));
            });
          }),
        );
      }
      box.append(row);
      this.body.append(box);
    }
  }

  private settings(): void {
    const { page } = this;
    const { settings } = page;
    const put = (change: () => void): void => {
      change();
      page.changed();
    };
    const other = button(say("otherLanguage"), () => speak(language() === "ko" ? "en" : "ko"), {
      label: say("otherLanguageLabel"),
    });
    other.lang = language() === "ko" ? "en" : "ko";
    this.body.append(
      el("div", { class: "field" }, el("span", { class: "field-name", text: say("language") }), other),
      toggle(say("reduceMotion"), settings.reduceMotion, (on) => put(() => (settings.reduceMotion = on))),
      toggle(say("quiet"), settings.quiet, (on) => put(() => (settings.quiet = on))),
      toggle(say("fewer"), settings.fewer, (on) => put(() => (settings.fewer = on))),
      toggle(say("textSize"), settings.large, (on) => put(() => (settings.large = on))),
      toggle(say("showRegions"), settings.regions, (on) => put(() => (settings.regions = on))),
      field(
        say("dayNight"),
        choice(
          [
            ["clock", say("byClock")],
            ["day", say("alwaysDay")],
            ["night", say("alwaysNight")],
          ] as const,
          settings.hour,
          (hour) => put(() => (settings.hour = hour)),
        ),
      ),
    );
    const facts = el("dl", { class: "facts" });
    const fact = (name: string, value: string): void => {
      facts.append(el("dt", { text: name }), el("dd", { text: value }));
    };
    const { node, handoffs, roundTripMs } = page.view;
    if (node !== "") fact("node", node);
    if (!Number.isNaN(roundTripMs)) fact("ms", say("roundTrip", { ms: Math.round(roundTripMs) }));
    fact("↔", say("handoffs", { count: handoffs }));
    if (node !== "") facts.append(el("dt", { text: "■" }), el("dd", { text: nodeColour(node) }));
    if (page.world.blocked.size > 0) {
      const list = el("ul", { class: "rows" });
      for (const [id, name] of page.world.blocked) {
        list.append(
          el(
            "li",
            {},
            el("span", { foreign: cleanName(name, "…") }),
            button(say("unblock"), () => {
              page.world.block(id, false);
              this.open("settings");
            }),
          ),
        );
      }
      this.body.append(el("h3", { text: say("blocked") }), list);
    }
    this.body.append(facts, el("p", { class: "credits", text: say("credits") }));
  }

  private words(): void {
    const { page } = this;
    clear(this.body);
    for (const line of [...describe(page), ...describePeople(page)])
      this.body.append(el("p", { text: line }));
    const me = page.view.me;
    const place = page.placeHere();
    if (place !== null && named(place.about) !== "") this.body.append(el("p", { text: named(place.about) }));
    for (const portal of place?.portals ?? []) {
      this.body.append(button(say("portal", { name: named(portal.name) }), () => page.world.go(portal.to)));
    }
    if (me === null) return;
    const wishes = [...page.view.objects.values()]
      .filter((object) => object.kind === "lantern" && object.text !== "")
      .map((object) => ({ object, away: Math.hypot(object.east - me.east, object.north - me.north) }))
      .filter(({ away }) => away < 80)
      .sort((a, b) => a.away - b.away)
      .slice(0, 8);
    if (wishes.length > 0) {
      const list = el("ul", { class: "rows" });
      for (const { object, away } of wishes) {
        list.append(
          el(
            "li",
            {},
            el("span", { foreign: clean(object.text, WISH_SHOWN) }),
            el("span", { class: "detail", text: `${Math.round(away)} m` }),
          ),
        );
      }
      this.body.append(el("h3", { text: say("wishesNear") }), list);
    }
    const last = page.heard.slice(-6);
    if (last.length > 0) {
      const list = el("ul", { class: "rows" });
      for (const said of last) {
        if (page.world.blocked.has(said.id)) continue;
        list.append(
          el(
            "li",
            {},
            el("strong", { foreign: cleanName(said.name, "…") }),
            el("span", { foreign: clean(said.text, 160) }),
          ),
        );
      }
      this.body.append(el("h3", { text: say("chat") }), list);
    }
  }

  private help(): void {
    for (const key of ["keyWalk", "keyZoom", "keyChat", "keyMore", "drumHelp", "touchHelp"] as const) {
      this.body.append(el("p", { text: say(key) }));
    }
  }

  private board(): void {
    const { page } = this;
    const place = page.placeHere();
    const at = place?.board ?? null;
    if (place === null || at === null) {
      this.body.append(el("p", { text: say("noBoard") }));
      return;
    }
    const notes = [...page.view.objects.values()]
      .filter(
        (object) =>
          object.kind === "note" && Math.hypot(object.east - at.east, object.north - at.north) < NOTE_REACH_M,
      )
      .sort((a, b) => b.atMs - a.atMs)
      .slice(0, LISTED_MAX);
    if (notes.length === 0) this.body.append(el("p", { text: say("noNotes") }));
    const list = el("ul", { class: "rows notes" });
    for (const note of notes) {
      list.append(
        el(
          "li",
          {},
          el("p", { foreign: clean(note.text, 200) }),
          el("span", { class: "detail", text: note.atMs > 0 ? dayAndTime(note.atMs) : "" }),
        ),
      );
    }
    const pin = button(
      say("pinNote"),
      () => {
        void page.ask(say("pinNote"), "", say("note"), say("pinNote"), 200).then((text) => {
          if (text === null) return;
          void page.world.act("note", text).then((done) => {
            page.toast(done.durable === "" ? told(done.reason, done.sentence) : say("pinned"));
            if (this.shown === "board") this.open("board");
          });
        });
      },
      { class: "primary" },
    );
    this.body.append(list, pin);
  }

  private look(): HTMLElement {
    const { page } = this;
    const { form, name } = lookCard(
      page.world.name,
      readLook(page.look(), page.view.me?.id ?? 1),
      say("save"),
      (given, look) => {
        page.world.profile(given, writeLook(look));
        page.toast(say("done"));
        this.close();
      },
    );
    this.body.append(form);
    return name;
  }

  private drum(): HTMLElement {
    const { page } = this;
    const low = button(say("drumLow"), () => page.world.beat(0), { class: "drum drum-low" });
    const high = button(say("drumHigh"), () => page.world.beat(1), { class: "drum drum-high" });
    this.body.append(el("p", { text: say("drumHelp") }), el("div", { class: "drums" }, low, high));
    return low;
  }
}
