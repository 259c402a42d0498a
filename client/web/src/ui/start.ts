/** The page around a world: builds its parts, hands news from one to another, and draws each frame. */

import { Camera } from "../draw/camera";
import type { City } from "../draw/city";
import { FlatRenderer } from "../draw/flat";
import { lightAt } from "../draw/light";
import { lookOf, writeLook } from "../draw/look";
import { Minimap } from "../draw/minimap";
import { Pace } from "../draw/pace";
import type { Renderer } from "../draw/renderer";
import type { Place, Programme } from "../state/places";
import { type Said, STAND, type World } from "../state/world";
import { language, onLanguage, say, told } from "../words";
import { type Deeds, fillActions, fillTools, fillZooms, pressed } from "./bars";
import { Chat } from "./chat";
import { ask, elsewhere, suggestions, welcome } from "./dialogs";
import { Doing } from "./doing";
import { el } from "./dom";
import { fetchCity } from "./fetched";
import { goTo } from "./going";
import { Head } from "./head";
import { Input } from "./input";
import { GWANGHWAMUN, type Page, type PanelName } from "./page";
import { Panels } from "./panels";
import { Regions } from "./regions";
import { keepSettings, Remembered, readSettings } from "./settings";
import { Sound } from "./sound";
import { Sounding } from "./sounding";
import { toAskAbout } from "./where";

/** Near enough to see what people wear, far enough to see where one is. */
const FACE = 11;
/** What one sees before one comes in: the square, the gate, the palace. */
const ARRIVING = 2.4;
const ROOM = 34;
const WHOLE_CITY = 0.021;
const HUD_MS = 400;
const WHO_MS = 700;
const BOARD_MS = 1500;
/** Below this scale nobody is named. */
const NAMED_FROM = 0.1;

export function start(world: World): void {
  new Shell(world).begin();
}

class Shell implements Page, Deeds {
  readonly settings = readSettings();
  readonly remembered = new Remembered();
  readonly sound = new Sound();
  private readonly sounding: Sounding;
  readonly camera = new Camera(GWANGHWAMUN.east, GWANGHWAMUN.north, this.settings.known ? FACE : ARRIVING);
  city: City | null = null;
  selected: number | null = null;
  view;
  private readonly canvas = el("canvas", {
    class: "picture",
    attributes: { tabindex: "0", role: "application" },
  });
  private readonly minimapCanvas = el("canvas", { class: "minimap", attributes: { role: "img" } });
  private readonly pace = new Pace();
  private readonly minimap = new Minimap(this.minimapCanvas);
  private readonly renderer: Renderer;
  private readonly head: Head;
  private readonly panels: Panels;
  private readonly chat: Chat;
  private readonly input: Input;
  private readonly doing: Doing;
  private readonly tools = el("nav", { class: "tools" });
  private readonly actions = el("div", { class: "actions", attributes: { role: "toolbar" } });
  private readonly zooms = el("div", { class: "zooms" });
  private readonly main = el("main", { id: "city", attributes: { tabindex: "-1" } });
  private readonly regions: Regions;
  private hidden = new Set<number>();
  private friends = new Set<number>();
  private lastMs = 0;
  private hudAt = 0;
  private whoAt = 0;
  private inRoom = false;
  private boardAt = 0;
  private frame = 0;
  private elsewhereCard: HTMLDialogElement | null = null;
  private readonly firstLook: string;

  constructor(readonly world: World) {
    this.view = world.view(performance.now());
    this.firstLook = writeLook(lookOf(Math.floor(Math.random() * 2 ** 31), 0.6));
    this.renderer = new FlatRenderer(this.canvas);
    this.head = new Head(this);
    this.panels = new Panels(this);
    this.chat = new Chat(this);
    this.sounding = new Sounding(this);
    this.doing = new Doing(this);
    this.regions = new Regions(this, () => this.showRegions());
    this.input = new Input(this.canvas, world, this.camera, {
      press: (x, y) => this.press(x, y),
      key: (event) => pressed(event, this),
      woken: () => this.sound.wake(),
    });
  }

  begin(): void {
    document.documentElement.lang = language();
    const skip = el("a", { class: "skip", attributes: { href: "#talk" } });
    const page = document.getElementById("page") ?? document.body;
    this.main.append(this.canvas, this.head.status, this.head.toasts);
    const side = el("div", { class: "corner" }, this.minimapCanvas, this.zooms);
    this.main.append(this.actions, side, this.head.spoken);
    page.append(skip, this.head.box, this.main, this.regions.box, this.tools, this.chat.box, this.panels.box);
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
      fillTools(this.tools, this);
      fillActions(this.actions, this);
      fillZooms(this.zooms, this);
      this.chat.words();
      this.regions.words();
      this.pressRegions();
      this.renderer.renew();
      this.renew();
    };
    onLanguage(write);
    write();
    this.follow();
    this.changed();
    addEventListener("resize", () => this.follow());
    this.listen();
    for (const id of this.remembered.friends.keys()) this.world.befriend(id, true);
    void fetchCity().then((city) => {
      this.city = city;
      this.renderer.renew();
    });
    if (this.settings.known) this.entered(false);
    else welcome(this, () => this.entered(true));
    requestAnimationFrame((now) => this.draw(now));
  }

  private entered(first: boolean): void {
    this.camera.zoomTo(FACE);
    if (first) this.canvas.focus();
    if (first || this.heard.length === 0) suggestions(this, this.main);
  }

  private listen(): void {
    const { world } = this;
    world.on("notice", ({ code, sentence }) => {
      if (code === "stroke") this.sounding.struck(Number(sentence));
      else this.toast(told(code, sentence));
    });
    world.on("settled", (done) =>
      this.toast(done.durable === "" ? told(done.reason, done.sentence) : say("keptSafe")),
    );
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
      this.renew();
    });
    world.on("places", () => this.renderer.renew());
  }

  private draw(now: number): void {
    const seconds = Math.min(0.1, (now - this.lastMs) / 1000);
    if (this.pace.frame(now - this.lastMs, devicePixelRatio)) this.follow();
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
        bubbles: this.sounding.bubbles,
        pulses: this.sounding.pulses,
        buses: this.city?.buses.at(view.serverTime()) ?? [],
        regions: this.regions.shown,
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
    this.renew();
    document.documentElement.classList.toggle("night", night);
    const room = typeof this.placeHere()?.ground === "number";
    if (room !== this.inRoom) {
      // rooms are small: come nearer, and go back again outside
      this.inRoom = room;
      this.camera.following = true;
      this.camera.zoomTo(room ? ROOM : FACE);
    }
    this.sounding.fade(now);
    if (now > this.boardAt) {
      this.boardAt = now + BOARD_MS;
      this.doing.board();
    }
    if (now > this.whoAt) {
      this.whoAt = now + WHO_MS;
      if (this.camera.scale >= NAMED_FROM) this.world.who(toAskAbout(this));
    }
    this.regions.tick(now, night);
    this.head.describe(now);
  }

  private follow(): void {
    const width = innerWidth;
    const height = innerHeight;
    this.renderer.resize(width, height, this.pace.ratio(devicePixelRatio));
    this.camera.width = width;
    this.camera.height = height;
  }

  /** What is written beside the picture, and whom the picture leaves out. */
  private renew(): void {
    this.head.write();
    this.hidden = new Set(this.world.blocked.keys());
    this.friends = new Set(this.remembered.friends.keys());
  }

  wholeCity(): void {
    this.camera.lookAt(33_400, 31_800);
    this.camera.zoomTo(Math.min(this.camera.width / 39_000, this.camera.height / 32_500) || WHOLE_CITY);
  }

  toMe(): void {
    this.camera.following = true;
    if (this.camera.scale < 3) this.camera.zoomTo(FACE);
  }

  gesture(state: number): void {
    const same = this.view.me?.state === state;
    this.world.state(same ? STAND : state);
  }

  private press(x: number, y: number): void {
    this.canvas.focus();
    const hit = this.renderer.hit(x, y);
    if (hit?.what === "person") {
      this.person(hit.id);
      return;
    }
    if (hit?.what === "object" && this.doing.read(hit.key)) return;
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

  toggle(panel: PanelName): void {
    this.panels.toggle(panel);
  }

  beat(voice: number): void {
    this.world.beat(voice);
  }

  zoom(factor: number): void {
    this.camera.zoom(factor);
  }

  toast(text: string): void {
    this.head.toast(text);
  }

  announce(text: string): void {
    this.head.announce(text);
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
    this.regions.tick(performance.now(), root.contains("night"));
    this.pressRegions();
  }

  showRegions(): void {
    this.settings.regions = !this.settings.regions;
    this.changed();
  }

  /** The button of the layer tells whether it is on. */
  private pressRegions(): void {
    this.tools.querySelector("[data-layer]")?.setAttribute("aria-pressed", String(this.settings.regions));
  }

  get heard(): readonly Said[] {
    return this.sounding.heard;
  }

  placeHere(): Place | null {
    const me = this.view.me;
    return me === null ? null : (this.world.places?.at(me.east, me.north) ?? null);
  }

  async goTo(place: string, label: string): Promise<boolean> {
    this.camera.following = true;
    const how = await goTo(this.world, place);
    if (how === "there") this.toast(say("arrived", { place: label }));
    else if (how === "unanswered") this.toast(say("notThere", { place: label }));
    return how === "there";
  }

  async goToFriend(id: number, name: string): Promise<void> {
    this.camera.following = true;
    const how = await goTo(this.world, "friend", id);
    if (how === "there") this.toast(say("besideFriend", { name }));
    else if (how === "unanswered") this.toast(say("notThere", { place: name }));
  }

  hang(): void {
    this.doing.hang();
  }

  ring(): void {
    this.doing.ring();
  }

  rehearse(programme: Programme): void {
    this.doing.rehearse(programme);
  }

  bus(): void {
    this.doing.bus();
  }

  look(): string {
    return this.world.look === "" ? this.firstLook : this.world.look;
  }
}
