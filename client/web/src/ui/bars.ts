/** The bars of buttons around the picture; each button says its key. */

import { BOW, CLAP, DANCE, SIT, WAVE } from "../state/world";
import { type Key, language, say } from "../words";
import { el, iconButton, iconLink } from "./dom";
import { ICON } from "./icons";
import type { PanelName } from "./page";

/** What the buttons and the keys do. */
export interface Deeds {
  toggle(panel: PanelName): void;
  open(panel: PanelName): void;
  close(): void;
  talk(): void;
  gesture(state: number): void;
  beat(voice: number): void;
  hang(): void;
  ring(): void;
  bus(): void;
  zoom(factor: number): void;
  wholeCity(): void;
  toMe(): void;
  showRegions(): void;
}

/** The way to the services, and panels, as buttons. */
export function fillTools(bar: HTMLElement, deeds: Deeds): void {
  bar.setAttribute("aria-label", say("world"));
  const tool = (name: PanelName, path: string, key: Key, keys = ""): HTMLElement =>
    iconButton(path, say(key), () => deeds.toggle(name), keys);
  const layer = iconButton(ICON.regions, say("showRegions"), () => deeds.showRegions(), "G");
  layer.dataset.layer = "";
  bar.replaceChildren(
    iconLink(ICON.desk, say("citizenServices"), `/${language()}`),
    tool("search", ICON.search, "search", "/"),
    tool("who", ICON.people, "who", "H"),
    tool("today", ICON.today, "today", "T"),
    tool("look", ICON.me, "profile", "P"),
    layer,
    tool("words", ICON.words, "words", "V"),
    tool("settings", ICON.settings, "settings", "O"),
    tool("help", ICON.help, "help", "?"),
  );
}

/** Gestures, and what one does with others. */
export function fillActions(bar: HTMLElement, deeds: Deeds): void {
  bar.setAttribute("aria-label", say("gestures"));
  const act = (path: string, key: Key, run: () => void, keys: string, word = key): HTMLElement =>
    iconButton(path, say(key), run, keys, say(word));
  bar.replaceChildren(
    act(ICON.wave, "wave", () => deeds.gesture(WAVE), "1"),
    act(ICON.bow, "bow", () => deeds.gesture(BOW), "2"),
    act(ICON.dance, "dance", () => deeds.gesture(DANCE), "3"),
    act(ICON.clap, "clap", () => deeds.gesture(CLAP), "4"),
    act(ICON.sit, "sit", () => deeds.gesture(SIT), "X"),
    el("span", { class: "divider", attributes: { "aria-hidden": "true" } }),
    act(ICON.lantern, "hangLantern", () => deeds.hang(), "L", "lantern"),
    act(ICON.drum, "drumTogether", () => deeds.toggle("drum"), "K", "drum"),
    act(ICON.bell, "strikeBell", () => deeds.ring(), "B", "bell"),
    act(ICON.bus, "rideBus", () => deeds.bus(), "R", "bus"),
    act(ICON.board, "board", () => deeds.toggle("board"), "N"),
    act(ICON.counter, "counter", () => deeds.toggle("counter"), "C", "counterShort"),
  );
}

/** Nearer, farther, everything, oneself. */
export function fillZooms(bar: HTMLElement, deeds: Deeds): void {
  bar.replaceChildren(
    iconButton(ICON.plus, say("zoomIn"), () => deeds.zoom(1.7), "+"),
    iconButton(ICON.minus, say("zoomOut"), () => deeds.zoom(1 / 1.7), "-"),
    iconButton(ICON.city, say("wholeCity"), () => deeds.wholeCity(), "0"),
    iconButton(ICON.me, say("myPlace"), () => deeds.toMe(), "M"),
  );
}

/** Does what a key that is not for walking stands for; false if it stands for nothing. */
export function pressed(event: KeyboardEvent, deeds: Deeds): boolean {
  const byKey: Readonly<Record<string, () => void>> = {
    Enter: () => deeds.talk(),
    "/": () => deeds.open("search"),
    "+": () => deeds.zoom(1.5),
    "=": () => deeds.zoom(1.5),
    "-": () => deeds.zoom(1 / 1.5),
    "0": () => deeds.wholeCity(),
    "1": () => deeds.gesture(WAVE),
    "2": () => deeds.gesture(BOW),
    "3": () => deeds.gesture(DANCE),
    "4": () => deeds.gesture(CLAP),
    "?": () => deeds.toggle("help"),
    Escape: () => deeds.close(),
  };
  const byCode: Readonly<Record<string, () => void>> = {
    KeyX: () => deeds.gesture(SIT),
    KeyL: () => deeds.hang(),
    KeyB: () => deeds.ring(),
    KeyK: () => deeds.toggle("drum"),
    KeyR: () => deeds.bus(),
    KeyN: () => deeds.toggle("board"),
    KeyC: () => deeds.toggle("counter"),
    KeyH: () => deeds.toggle("who"),
    KeyT: () => deeds.toggle("today"),
    KeyP: () => deeds.toggle("look"),
    KeyV: () => deeds.toggle("words"),
    KeyO: () => deeds.toggle("settings"),
    KeyM: () => deeds.toMe(),
    KeyG: () => deeds.showRegions(),
    KeyF: () => deeds.beat(0),
    KeyJ: () => deeds.beat(1),
  };
  if (event.key === "Enter" && document.activeElement instanceof HTMLButtonElement) return false;
  const run = byKey[event.key] ?? byCode[event.code];
  run?.();
  return run !== undefined;
}
