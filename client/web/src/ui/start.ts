/** The page around a world: builds its parts, hands news from one to another, and draws each frame. */

import { Camera } from "../draw/camera";
import { type City, readCity, type Spot } from "../draw/city";
import { FlatRenderer } from "../draw/flat";
import { lightAt } from "../draw/light";
import { lookOf, writeLook } from "../draw/look";
import { Minimap } from "../draw/minimap";
import type { Bubble, Pulse, RegionShape, Renderer } from "../draw/renderer";
import type { Place, Point } from "../state/places";
import { BOW, CLAP, DANCE, type Done, RIDE, type Said, SIT, STAND, WAVE, type World } from "../state/world";
import { type Key, language, named, onLanguage, say, timeOfDay, told } from "../words";
import { clean, cleanName, WISH_SHOWN } from "../words/clean";
import { Chat } from "./chat";
import { ask, elsewhere, suggestions, welcome } from "./dialogs";
import { el, iconButton } from "./dom";
import { ICON } from "./icons";
import { Input } from "./input";
import type { Page, PanelName } from "./page";
import { Panels } from "./panels";
import { keepSettings, Remembered, readSettings } from "./settings";
import { Sound } from "./sound";
import { describe, describePeople, where } from "./where";

/** Gwanghwamun, in metres from the root's corner: where the eye is before anybody is anywhere. */
const FIRST = { east: 33_805, north: 32_960 };
const FACE = 17;
const ROOM = 34;
const WHOLE_CITY = 0.021;
const BUBBLE_MS = 7000;
const HEARD_MAX = 200;
const PULSES_MAX = 400;
const HUD_MS = 400;
const WHO_MS = 700;
const REGIONS_MS = 5000;
const BOARD_MS = 1500;
/** Where one waits beside a bus, and from how far one may board (the nodes' bound is 15 m). */
const KERB_M = 4;
const BOARD_M = 13;
const DESCRIBE_MS = 9000;
const ASKED_AT_ONCE = 64;
const CITY_AGAIN_MS = 2000;
/** 5179 metres of the root's south-west corner, which regions are told in. */
const ROOT = { east: 920_000, north: 1_920_000 };
/** How far a drum and a bell are heard. */
const HEARD_M = { beat: 90, bell: 1500 } as const;

export function start(world: World): void {
  new Shell(world).begin();
}

class Shell implements Page {
  readonly settings = readSettings();
  readonly remembered = new Remembered();
  readonly sound = new Sound();
  readonly camera = new Camera(FIRST.east, FIRST.north, FACE);
  readonly heard: Said[] = [];
  city: City | null = null;
  selected: number | null = null;
  view;
  private readonly canvas = el("canvas", {
    class: "picture",
    attributes: { tabindex: "0", role: "application" },
  });
  private readonly minimapCanvas = el("canvas", { class: "minimap", attributes: { role: "img" } });
  private readonly minimap = new Minimap(this.minimapCanvas);
  private readonly renderer: Renderer;
  private readonly panels: Panels;
  private readonly chat: Chat;
  private readonly input: Input;
  private readonly header = el("header", { class: "head" });
  private readonly tools = el("nav", { class: "tools" });
  private readonly actions = el("div", { class: "actions", attributes: { role: "toolbar" } });
  private readonly status = el("p", { class: "status", attributes: { role: "status", hidden: "" } });
  private readonly toasts = el("div", { class: "toasts", attributes: { role: "status" } });
  private readonly spoken = el("p", { class: "spoken", attributes: { "aria-live": "polite" } });
  private readonly title = el("h1", { class: "place" });
  private readonly subtitle = el("p", { class: "place-detail" });
  private readonly main = el("main", { id: "city", attributes: { tabindex: "-1" } });
  private readonly bubbles = new Map<number, Bubble>();
  private pulses: Pulse[] = [];
  private regions: RegionShape[] | null = null;
  private hidden = new Set<number>();
  private friends = new Set<number>();
  private lastMs = 0;
  private hudAt = 0;
  private whoAt = 0;
  private regionsAt = 0;
  private describeAt = DESCRIBE_MS;
  private described = "";
  private inRoom = false;
  /** The stop where one waits for the bus. */
  private waiting: Spot | null = null;
  private boardAt = 0;
  private frame = 0;
  private readonly bells = new Map<string, number>();
  private elsewhereCard: HTMLDialogElement | null = null;
  private readonly firstLook: string;

  constructor(readonly world: World) {
    this.view = world.view(performance.now());
    this.firstLook = writeLook(lookOf(Math.floor(Math.random() * 2 ** 31), 0.6));
    this.renderer = new FlatRenderer(this.canvas);
    this.panels = new Panels(this);
    this.chat = new Chat(this);
    this.input = new Input(this.canvas, world, this.camera, {
      press: (x, y) => this.press(x, y),
      key: (event) => this.key(event),
      woken: () => this.sound.wake(),
    });
  }

  begin(): void {
    document.documentElement.lang = language();
    const skip = el("a", { class: "skip", attributes: { href: "#talk" } });
    const page = document.getElementById("page") ?? document.body;
    this.main.append(this.canvas, this.status, this.toasts);
    const side = el("div", { class: "corner" }, this.minimapCanvas, this.zoomButtons());
    this.main.append(this.actions, side, this.spoken);
    page.append(skip, this.header, this.main, this.tools, this.chat.box, this.panels.box);
    skip.addEventListener("click", (event) => {
      event.preventDefault();
      this.chat.focus();
    });
    this.minimapCanvas.addEventListener("click", (event) => {
      const at = this.minimap.at(event.offsetX, event.offsetY);
      this.camera.lookAt(at.east, at.north);
    });
    const write = (): void => {
      skip.textContent = say("skip");
      document.title = say("world");
      this.canvas.setAttribute("aria-label", say("mapDescription"));
      this.minimapCanvas.setAttribute("aria-label", say("minimap"));
      this.toolbar();
      this.actionBar();
      this.chat.words();
      this.renderer.renew();
      this.hud();
    };
    onLanguage(write);
    write();
    this.follow();
    this.changed();
    addEventListener("resize", () => this.follow());
    this.listen();
    void this.loadCity();
    if (this.settings.known) this.entered(false);
    else welcome(this, () => this.entered(true));
    requestAnimationFrame((now) => this.draw(now));
  }

  private entered(first: boolean): void {
    if (first) this.canvas.focus();
    if (first || this.heard.length === 0) suggestions(this, this.main);
  }

  private listen(): void {
    const { world } = this;
    world.on("said", (said) => {
      if (this.world.blocked.has(said.id) || this.remembered.muted.has(said.id)) return;
      this.heard.push(said);
      if (this.heard.length > HEARD_MAX) this.heard.shift();
      if (said.channel === "near" || said.channel === "place") {
        this.bubbles.set(said.id, { text: said.text, until: performance.now() + BUBBLE_MS });
      }
    });
    world.on("beat", ({ id, atMs, voice }) => {
      const at = this.placeOf(id);
      if (at === null || this.world.blocked.has(id)) return;
      this.pulse({ ...at, atMs, kind: "beat", voice });
      this.sound.drum(atMs - this.view.serverTime(), voice, this.loudness(at, HEARD_M.beat));
    });
    world.on("objects", () => this.rung());
    world.on("notice", ({ code, sentence }) => this.toast(told(code, sentence)));
    world.on("trouble", ({ code, sentence }) => this.toast(told(code, sentence)));
    world.on("arrived", ({ how }) => {
      if (how === "no way") this.toast(say("noWay"));
      else if (how === "held") this.toast(say("wall"));
    });
    world.on("elsewhere", ({ where: place }) => {
      this.elsewhereCard?.close();
      this.elsewhereCard = elsewhere(this, place);
    });
    world.on("link", (link) => {
      if (link === "here") {
        this.elsewhereCard?.close();
        this.elsewhereCard = null;
      }
      this.hud();
    });
    world.on("places", () => this.renderer.renew());
  }

  private placeOf(id: number): Point | null {
    const { view } = this;
    if (view.me !== null && (id === view.me.id || id === 0))
      return { east: view.me.east, north: view.me.north };
    for (let i = 0; i < view.count; i++) {
      if (view.ids[i] === id) return { east: view.east[i], north: view.north[i] };
    }
    return null;
  }

  private loudness(at: Point, reach: number): number {
    const me = this.view.me;
    if (me === null) return 0;
    return Math.max(0, 1 - Math.hypot(at.east - me.east, at.north - me.north) / reach) ** 1.5;
  }

  private pulse(pulse: Pulse): void {
    const now = this.view.serverTime();
    this.pulses = this.pulses.filter((old) => now - old.atMs < 6000).slice(-PULSES_MAX);
    this.pulses.push(pulse);
  }

  /** A bell whose count grew was struck. */
  private rung(): void {
    for (const object of this.view.objects.values()) {
      if (object.kind !== "bell") continue;
      const before = this.bells.get(object.key);
      this.bells.set(object.key, object.count);
      if (before === undefined || object.count <= before) continue;
      const at = { east: object.east, north: object.north };
      this.pulse({ ...at, atMs: this.view.serverTime(), kind: "bell", voice: 0 });
      this.sound.bell(0, this.loudness(at, HEARD_M.bell));
    }
  }

  private draw(now: number): void {
    const seconds = Math.min(0.1, (now - this.lastMs) / 1000);
    this.lastMs = now;
    this.frame += 1;
    this.input.step();
    this.view = this.world.view(now);
    const { view, camera } = this;
    camera.step(seconds, view.me);
    const light = lightAt(view.serverTime(), this.settings.hour);
    this.renderer.draw(
      {
        camera,
        view,
        city: this.city,
        places: this.world.places?.all ?? [],
        light,
        bubbles: this.bubbles,
        pulses: this.pulses,
        buses: this.city?.buses.at(view.serverTime()) ?? [],
        regions: this.settings.regions ? this.regions : null,
        hidden: this.hidden,
        friends: this.friends,
        selected: this.selected,
        name: this.world.name,
        look: this.look(),
        still: this.settings.reduceMotion,
        fewer: this.settings.fewer,
      },
      now,
    );
    if (this.frame % 8 === 0) {
      this.minimap.draw(this.city, camera, view.me, light.glow > 0.5, Math.min(2, devicePixelRatio));
    }
    if (now > this.hudAt) this.seldom(now, light.glow > 0.5);
    this.panels.tick(now);
    requestAnimationFrame((next) => this.draw(next));
  }

  /** What needs no frame of its own. */
  private seldom(now: number, night: boolean): void {
    this.hudAt = now + HUD_MS;
    this.hud();
    document.documentElement.classList.toggle("night", night);
    const room = typeof this.placeHere()?.ground === "number";
    if (room !== this.inRoom) {
      // rooms are small: come nearer, and go back again outside
      this.inRoom = room;
      this.camera.following = true;
      this.camera.zoomTo(room ? ROOM : FACE);
    }
    for (const [id, bubble] of this.bubbles) if (bubble.until < now) this.bubbles.delete(id);
    if (now > this.boardAt) {
      this.boardAt = now + BOARD_MS;
      this.board();
    }
    if (now > this.whoAt) {
      this.whoAt = now + WHO_MS;
      this.askWho();
    }
    if (this.settings.regions && now > this.regionsAt) {
      this.regionsAt = now + REGIONS_MS;
      void this.loadRegions();
    }
    if (now > this.describeAt) {
      this.describeAt = now + DESCRIBE_MS;
      const text = [...describe(this), ...describePeople(this)].join(" ");
      const key = describe(this)[0];
      if (key !== this.described && this.view.me !== null) {
        this.described = key;
        this.announce(text);
      }
    }
  }

  /** Names of those one might see named: the nearest first. */
  private askWho(): void {
    const { view, camera } = this;
    if (camera.scale < 0.1) return;
    const unknown: [number, number][] = [];
    for (let i = 0; i < view.count; i++) {
      const id = view.ids[i];
      if (view.people.has(id)) continue;
      unknown.push([Math.hypot(view.east[i] - camera.east, view.north[i] - camera.north), id]);
    }
    if (unknown.length === 0) return;
    unknown.sort((a, b) => a[0] - b[0]);
    this.world.who(unknown.slice(0, ASKED_AT_ONCE).map((pair) => pair[1]));
  }

  private follow(): void {
    const width = innerWidth;
    const height = innerHeight;
    // beyond two device pixels a CSS pixel nobody sees a difference, but every frame pays for it
    this.renderer.resize(width, height, Math.min(2, devicePixelRatio));
    this.camera.width = width;
    this.camera.height = height;
  }

  private async loadCity(): Promise<void> {
    for (;;) {
      try {
        const answer = await fetch("/api/v1/city");
        if (answer.ok) {
          this.city = readCity(await answer.json());
          this.renderer.renew();
          return;
        }
      } catch (error) {
        if (!(error instanceof TypeError)) throw error; // no network: again
      }
      await new Promise((resolve) => setTimeout(resolve, CITY_AGAIN_MS));
    }
  }

  private async loadRegions(): Promise<void> {
    try {
      const answer = await fetch("/api/v1/regions");
      if (!answer.ok) return;
      const { regions } = (await answer.json()) as {
        regions: {
          bounds: { west: number; south: number; east: number; north: number };
          holder: string | null;
        }[];
      };
      this.regions = regions.map(({ bounds, holder }) => ({
        west: bounds.west - ROOT.east,
        east: bounds.east - ROOT.east,
        south: bounds.south - ROOT.north,
        north: bounds.north - ROOT.north,
        holder,
      }));
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // no network: the next one
    }
  }

  private hud(): void {
    const { view } = this;
    const { place, gu } = where(this);
    put(this.title, place || gu || say("world"));
    const clock = timeOfDay(view.serverTime());
    put(this.subtitle, [place === "" ? "" : gu, clock].filter((part) => part !== "").join(" · "));
    const text: Partial<Record<typeof view.link, Key>> = {
      joining: "joining",
      "back in a moment": "inAMoment",
      stopped: "stopped",
    };
    const key = navigator.onLine ? text[view.link] : "offline";
    this.status.hidden = key === undefined;
    if (key !== undefined) put(this.status, say(key));
    this.status.className = `status ${view.link.replaceAll(" ", "-")}`;
    this.hidden = new Set(this.world.blocked.keys());
    this.friends = new Set(this.remembered.friends.keys());
  }

  private toolbar(): void {
    this.header.replaceChildren(this.title, this.subtitle);
    this.tools.setAttribute("aria-label", say("world"));
    const tool = (name: PanelName, path: string, key: Key, keys = ""): HTMLElement =>
      iconButton(path, say(key), () => this.panels.toggle(name), keys);
    this.tools.replaceChildren(
      tool("search", ICON.search, "search", "/"),
      tool("who", ICON.people, "who", "H"),
      tool("today", ICON.today, "today", "T"),
      tool("look", ICON.me, "profile", "P"),
      tool("words", ICON.words, "words", "V"),
      tool("settings", ICON.settings, "settings", "O"),
      tool("help", ICON.help, "help", "?"),
    );
  }

  private actionBar(): void {
    this.actions.setAttribute("aria-label", say("gestures"));
    const act = (path: string, key: Key, run: () => void, keys: string): HTMLElement =>
      iconButton(path, say(key), run, keys);
    this.actions.replaceChildren(
      act(ICON.wave, "wave", () => this.gesture(WAVE), "1"),
      act(ICON.bow, "bow", () => this.gesture(BOW), "2"),
      act(ICON.dance, "dance", () => this.gesture(DANCE), "3"),
      act(ICON.clap, "clap", () => this.gesture(CLAP), "4"),
      act(ICON.sit, "sit", () => this.gesture(SIT), "X"),
      el("span", { class: "divider", attributes: { "aria-hidden": "true" } }),
      act(ICON.lantern, "hangLantern", () => this.hang(), "L"),
      act(ICON.drum, "drumTogether", () => this.panels.toggle("drum"), "K"),
      act(ICON.bell, "strikeBell", () => this.ring(), "B"),
      act(ICON.bus, "rideBus", () => this.bus(), "R"),
      act(ICON.board, "board", () => this.panels.toggle("board"), "N"),
    );
  }

  private zoomButtons(): HTMLElement {
    const box = el("div", { class: "zooms" });
    const build = (): void => {
      box.replaceChildren(
        iconButton(ICON.plus, say("zoomIn"), () => this.camera.zoom(1.7), "+"),
        iconButton(ICON.minus, say("zoomOut"), () => this.camera.zoom(1 / 1.7), "-"),
        iconButton(ICON.city, say("wholeCity"), () => this.wholeCity(), "0"),
        iconButton(ICON.me, say("myPlace"), () => this.toMe(), "M"),
      );
    };
    onLanguage(build);
    build();
    return box;
  }

  private wholeCity(): void {
    this.camera.lookAt(33_400, 31_800);
    this.camera.zoomTo(Math.min(this.camera.width / 39_000, this.camera.height / 32_500) || WHOLE_CITY);
  }

  private toMe(): void {
    this.camera.following = true;
    if (this.camera.scale < 3) this.camera.zoomTo(FACE);
  }

  private gesture(state: number): void {
    const same = this.view.me?.state === state;
    this.world.state(same ? STAND : state);
  }

  private key(event: KeyboardEvent): boolean {
    const pressed: Readonly<Record<string, () => void>> = {
      Enter: () => this.chat.focus(),
      "/": () => this.panels.open("search"),
      "+": () => this.camera.zoom(1.5),
      "=": () => this.camera.zoom(1.5),
      "-": () => this.camera.zoom(1 / 1.5),
      "0": () => this.wholeCity(),
      "1": () => this.gesture(WAVE),
      "2": () => this.gesture(BOW),
      "3": () => this.gesture(DANCE),
      "4": () => this.gesture(CLAP),
      "?": () => this.panels.toggle("help"),
      Escape: () => this.panels.close(),
    };
    const byCode: Readonly<Record<string, () => void>> = {
      KeyX: () => this.gesture(SIT),
      KeyL: () => this.hang(),
      KeyB: () => this.ring(),
      KeyK: () => this.panels.toggle("drum"),
      KeyR: () => this.bus(),
      KeyN: () => this.panels.toggle("board"),
      KeyH: () => this.panels.toggle("who"),
      KeyT: () => this.panels.toggle("today"),
      KeyP: () => this.panels.toggle("look"),
      KeyV: () => this.panels.toggle("words"),
      KeyO: () => this.panels.toggle("settings"),
      KeyM: () => this.toMe(),
      KeyF: () => this.world.beat(0),
      KeyJ: () => this.world.beat(1),
    };
    if (event.key === "Enter" && document.activeElement instanceof HTMLButtonElement) return false;
    const run = pressed[event.key] ?? byCode[event.code];
    run?.();
    return run !== undefined;
  }

  private press(x: number, y: number): void {
    this.canvas.focus();
    const hit = this.renderer.hit(x, y);
    if (hit?.what === "person") {
      this.person(hit.id);
      return;
    }
    if (hit?.what === "object") {
      const object = this.view.objects.get(hit.key);
      if (object?.kind === "lantern" && object.text !== "") {
        const by = this.view.people.get(object.by)?.name;
        const wish = clean(object.text, WISH_SHOWN);
        this.toast(by === undefined ? `“${wish}”` : `“${wish}” — ${cleanName(by, "…")}`);
        return;
      }
      if (object?.kind === "bell") {
        this.toast(say("strikes", { count: object.count }));
        return;
      }
      if (object?.kind === "note") {
        this.open("board");
        return;
      }
    }
    const east = this.camera.eastAt(x);
    const north = this.camera.northAt(y);
    // from far above a click looks there; from near it walks there
    if (this.camera.scale < 0.4) {
      this.camera.lookAt(east, north);
      this.camera.zoom(2.2);
      return;
    }
    this.world.walkTo(east, north);
  }

  toast(text: string): void {
    const one = el("p", { class: "toast", foreign: text });
    this.toasts.append(one);
    while (this.toasts.childElementCount > 4) this.toasts.firstElementChild?.remove();
    setTimeout(() => one.remove(), 5200);
  }

  announce(text: string): void {
    this.spoken.textContent = text;
  }

  open(panel: PanelName): void {
    this.panels.open(panel);
  }

  close(): void {
    this.panels.close();
  }

  person(id: number): void {
    this.selected = id;
    this.world.who([id]);
    this.panels.open("person");
  }

  talk(channel?: "near" | "direct", to?: number): void {
    this.chat.focus(channel, to);
  }

  ask(title: string, hint: string, label: string, go: string, limit: number): Promise<string | null> {
    return ask(title, hint, label, go, limit);
  }

  changed(): void {
    keepSettings(this.settings);
    this.sound.quiet = this.settings.quiet;
    this.camera.still = this.settings.reduceMotion;
    const root = document.documentElement.classList;
    root.toggle("still", this.settings.reduceMotion);
    root.toggle("large", this.settings.large);
    if (!this.settings.regions) this.regions = null;
    this.regionsAt = 0;
  }

  placeHere(): Place | null {
    const me = this.view.me;
    return me === null ? null : (this.world.places?.at(me.east, me.north) ?? null);
  }

  look(): string {
    return this.world.look === "" ? this.firstLook : this.world.look;
  }

  /** The nearest place with a feature whose kind fits. */
  private placeWith(kind: RegExp): Place | null {
    const me = this.view.me ?? FIRST;
    const all = (this.world.places?.all ?? []).filter((place) =>
      place.features.some((feature) => kind.test(feature.kind)),
    );
    const away = (place: Place): number =>
      Math.hypot(place.middle.east - me.east, place.middle.north - me.north);
    all.sort((a, b) => away(a) - away(b));
    return all[0] ?? null;
  }

  /** Takes one to where a thing can be done, unless one is there. */
  private goWhere(kind: RegExp, otherwise: string): void {
    const place = this.placeWith(kind);
    if (place !== null && place.id === this.placeHere()?.id) return;
    if (place === null && this.world.places !== null && this.world.places.all.length > 0) return;
    this.world.go(place?.id ?? otherwise);
    this.camera.following = true;
    if (place !== null) this.toast(say("arrived", { place: named(place.name) }));
  }

  hang(): void {
    this.goWhere(/lantern/, "Cheonggyecheon Plaza");
    void this.ask(say("hangLantern"), say("wishHint"), say("wish"), say("hangLantern"), WISH_SHOWN).then(
      (wish) => {
        if (wish === null) return;
        this.toast(say("pending"));
        void this.world.act("hang", wish).then((done) => this.told(done, "hung"));
      },
    );
  }

  ring(): void {
    const place = this.placeWith(/bell/);
    const there = place === null || place.id === this.placeHere()?.id;
    this.goWhere(/bell/, "Bosingak");
    const rehearsal = this.world.places?.programmes.find((one) => one.rehearsal && one.place === place?.id);
    if (!there && rehearsal !== undefined) {
      void this.world.act("start", rehearsal.id).then((done) => this.told(done, "rehearsalOn"));
      return;
    }
    void this.world.act("ring").then((done) => this.told(done, "struck"));
  }

  bus(): void {
    const { view } = this;
    if (view.me?.state === RIDE) {
      this.world.go("off");
      return;
    }
    if (this.waiting !== null) {
      this.waiting = null;
      this.toast(say("busForgotten"));
      return;
    }
    const me = view.me;
    const stops = this.city?.stops ?? [];
    if (me === null || stops.length === 0) {
      this.world.go("bus");
      return;
    }
    const away = (stop: Point): number => Math.hypot(stop.east - me.east, stop.north - me.north);
    this.waiting = stops.reduce((best, stop) => (away(stop) < away(best) ? stop : best));
    this.toast(say("toStop", { stop: named(this.waiting.name) }));
    this.camera.following = true;
    this.world.walkTo(this.waiting.east + KERB_M, this.waiting.north, true);
  }

  /** Boards as soon as a bus stands where one waits for it. */
  private board(): void {
    const { view, waiting } = this;
    const me = view.me;
    if (waiting === null || me === null) return;
    if (me.state === RIDE) {
      this.waiting = null;
      this.toast(say("boarded"));
      return;
    }
    if (Math.hypot(waiting.east - me.east, waiting.north - me.north) > BOARD_M) return;
    const there = this.city?.buses.at(view.serverTime()) ?? [];
    if (there.some((bus) => Math.hypot(bus.east - waiting.east, bus.north - waiting.north) < 1))
      this.world.go("bus");
  }

  private told(done: Pick<Done, "durable" | "reason" | "sentence">, good: Key): void {
    this.toast(done.durable === "" ? told(done.reason, done.sentence) : say(good));
  }
}

/** Sets a text only when it changed, so that readers are not disturbed. */
function put(node: Element, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}
