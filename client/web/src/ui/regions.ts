/** The layer of regions beside the picture: asks who carries what while it is shown, a legend, and what has happened. */

import { guAt } from "../draw/city";
import { colourOf, type Flash, type Picture, paintGround } from "../draw/regions";
import {
  type Carrier,
  type Change,
  changesOf,
  type Region,
  readCarriers,
  readGround,
} from "../state/regions";
import { named, say } from "../words";
import { cleanName } from "../words/clean";
import { el, icon } from "./dom";
import { ask } from "./fetched";
import { ICON } from "./icons";
import type { Page } from "./page";

const EVERY_MS = 1000;
const SILENT_MS = 5000;
const TOLD_MAX = 5;
/** Of one kind in one look, so many are told one by one; more only by their number. */
const SINGLY_MAX = 2;
const FLASHES_MAX = 16;
const FLASH_MS = 3200;
const NEAR_M = 500;
const LARGE_M = 1000;
const SWATCH_PX = 22;

export class Regions {
  readonly box = el("section", { class: "regions", attributes: { hidden: "" } });
  private readonly heading = el("h2", { id: "regions-title" });
  private readonly total = el("p", { class: "detail" });
  private readonly list = el("ul", { class: "carriers" });
  private readonly told = el("ol", { class: "happened", attributes: { role: "log", "aria-live": "polite" } });
  private readonly close = el("button", { class: "tool", attributes: { type: "button" } }, icon(ICON.close));
  private picture: Picture | null = null;
  private version = 0;
  private mapVersion = -1;
  private carriers: Carrier[] = [];
  private regions: readonly Region[] = [];
  private readonly slots = new Map<string, number>();
  private readonly names = new Map<string, string>();
  private flashes: Flash[] = [];
  private askAt = 0;
  private asking = false;
  private answeredAt = 0;
  private night = false;

  constructor(
    private readonly page: Page,
    off: () => void,
  ) {
    this.close.addEventListener("click", off);
    const head = el("div", { class: "regions-head" }, this.heading, this.total, this.close);
    this.box.append(head, this.list, this.told);
    this.box.setAttribute("aria-labelledby", this.heading.id);
  }

  /** What the layer draws; null while it is off, or nothing is known yet. */
  get shown(): Picture | null {
    return this.page.settings.regions ? this.picture : null;
  }

  /** Writes everything in the present language. */
  words(): void {
    this.heading.textContent = say("regionsTitle");
    this.close.setAttribute("aria-label", say("close"));
    this.told.setAttribute("aria-label", say("regionsHappened"));
    this.told.replaceChildren();
    this.write();
  }

  /** Follows whether the layer is wanted, and asks when it is time. */
  tick(nowMs: number, night: boolean): void {
    const on = this.page.settings.regions;
    this.box.hidden = !on;
    if (!on) {
      this.picture = null;
      this.mapVersion = -1;
      this.told.replaceChildren();
      return;
    }
    if (night !== this.night) {
      this.night = night;
      this.write();
    }
    this.flashes = this.flashes.filter((flash) => nowMs - flash.sinceMs < FLASH_MS);
    if (this.asking || nowMs < this.askAt) return;
    this.askAt = nowMs + EVERY_MS;
    this.asking = true;
    void this.look().then(() => {
      this.asking = false;
    });
  }

  private async look(): Promise<void> {
    const told = await ask("/api/v1/nodes");
    if (told === null) {
      if (performance.now() - this.answeredAt > SILENT_MS) this.total.textContent = say("regionsSilent");
      return;
    }
    this.answeredAt = performance.now();
    const { version, carriers } = readCarriers(told, this.names);
    let { regions } = this;
    if (version !== this.mapVersion) {
      const ground = await ask("/api/v1/regions");
      if (ground === null) return;
      regions = readGround(ground).regions;
    }
    if (this.page.settings.regions) this.take(version, carriers, regions);
  }

  private take(version: number, carriers: Carrier[], regions: readonly Region[]): void {
    const first = this.mapVersion < 0;
    const were = new Set(this.carriers.map((one) => one.node));
    const are = new Set(carriers.map((one) => one.node));
    const changes = first ? [] : changesOf(this.regions, regions, were, are);
    for (const { node } of carriers) if (!this.slots.has(node)) this.slots.set(node, this.slots.size);
    const seen = first || version !== this.mapVersion || !same(this.carriers, carriers);
    this.mapVersion = version;
    this.carriers = carriers;
    this.regions = regions;
    const now = performance.now();
    for (const change of changes)
      if ("region" in change) this.flashes.push({ region: change.region, sinceMs: now });
    this.flashes = this.flashes.slice(-FLASHES_MAX);
    if (seen) this.version += 1;
    this.picture = {
      version: this.version,
      regions,
      carriers: new Map(carriers.map((one) => [one.node, { ...one, name: this.name(one.node) }])),
      slots: this.slots,
      flashes: this.flashes,
    };
    this.tell(changes);
    this.write();
  }

  private name(node: string): string {
    return cleanName(this.names.get(node), node.slice(0, 8));
  }

  // ---- in words

  private tell(changes: readonly Change[]): void {
    const lines: string[] = [];
    const of = <K extends Change["kind"]>(kind: K): Extract<Change, { kind: K }>[] =>
      changes.filter((change): change is Extract<Change, { kind: K }> => change.kind === kind);
    for (const { node, heirs, regions } of of("gone")) {
      const names = heirs.map((heir) => this.name(heir)).join(", ");
      lines.push(
        names === ""
          ? say("nodeGone", { node: this.name(node) })
          : say("nodeGoneHeirs", { node: this.name(node), names, count: regions }),
      );
    }
    for (const { node } of of("came")) lines.push(say("nodeCame", { node: this.name(node) }));
    const cuts = [...of("cut")];
    if (cuts.length > SINGLY_MAX) lines.push(say("regionsCut", { count: cuts.length }));
    else for (const { region } of cuts) lines.push(say("regionCut", { place: this.placeOf(region) }));
    const merged = [...of("merged")];
    if (merged.length > SINGLY_MAX) lines.push(say("regionsMerged", { count: merged.length }));
    else for (const { region } of merged) lines.push(say("regionMerged", { place: this.placeOf(region) }));
    const moved = [...of("moved")];
    if (moved.length > SINGLY_MAX) lines.push(say("regionsMoved", { count: moved.length }));
    else
      for (const { region, from, to } of moved)
        lines.push(
          say("regionMoved", { place: this.placeOf(region), from: this.name(from), to: this.name(to) }),
        );
    for (const line of lines) this.told.append(el("li", { foreign: line }));
    while (this.told.childElementCount > TOLD_MAX) this.told.firstElementChild?.remove();
  }

  /** What people call the ground of a region: its gu if it is large, the nearest place, or the end of its quadkey. */
  private placeOf(region: Region): string {
    const east = (region.west + region.east) / 2;
    const north = (region.south + region.north) / 2;
    const { city } = this.page;
    const gu = region.east - region.west > LARGE_M && city !== null ? guAt(city, east, north) : null;
    if (gu !== null) return named(gu.name);
    let best = { name: `…${region.key.slice(-5)}`, away: NEAR_M };
    const consider = (name: string, e: number, n: number): void => {
      const away = Math.hypot(e - east, n - north);
      if (name !== "" && away < best.away) best = { name, away };
    };
    for (const place of this.page.world.places?.all ?? [])
      if (place.ground === "city") consider(named(place.name), place.middle.east, place.middle.north);
    for (const spot of city?.landmarks ?? []) consider(named(spot.name), spot.east, spot.north);
    return best.name;
  }

  private write(): void {
    if (this.carriers.length > 0)
      this.total.textContent = say("regionsTotal", {
        regions: this.regions.filter((region) => region.holder !== null).length,
        people: this.carriers.reduce((sum, one) => sum + peopleOf(one), 0),
      });
    const rows = this.carriers.map((carrier) => this.row(carrier));
    this.list.replaceChildren(...rows);
  }

  private row(carrier: Carrier): HTMLElement {
    const swatch = el("canvas", { class: "carrier-swatch", attributes: { "aria-hidden": "true" } });
    const ratio = Math.min(2, devicePixelRatio);
    swatch.width = swatch.height = SWATCH_PX * ratio;
    const ink = swatch.getContext("2d");
    const slot = this.slots.get(carrier.node);
    if (ink !== null) {
      ink.rect(0, 0, swatch.width, swatch.height);
      paintGround(ink, slot, false, ratio * 0.5, 2.6);
      ink.strokeStyle = colourOf(slot, false);
      ink.lineWidth = 4 * ratio;
      ink.stroke();
    }
    const busy = Math.round((carrier.busy ?? 0) * 100);
    const load = el("meter", {
      label: say("carrierBusy", { percent: busy }),
      title: say("carrierBusy", { percent: busy }),
      attributes: { min: "0", max: "100", high: "80", value: String(Math.min(100, busy)) },
    });
    return el(
      "li",
      {},
      swatch,
      el("strong", { foreign: this.name(carrier.node) }),
      carrier.self ? el("span", { class: "tag", text: say("carrierSelf") }) : null,
      carrier.draining ? el("span", { class: "tag", text: say("carrierDraining") }) : null,
      el("span", { class: "carrier-people", text: say("peopleCount", { count: peopleOf(carrier) }) }),
      el("span", { class: "carrier-regions", text: say("regionCount", { count: carrier.regions }) }),
      load,
    );
  }
}

function peopleOf(carrier: Carrier): number {
  let people = 0;
  for (const count of carrier.people?.values() ?? []) people += count;
  return people;
}

/** Whether the picture of both is the same. */
function same(one: readonly Carrier[], other: readonly Carrier[]): boolean {
  return (
    one.length === other.length &&
    one.every((a, i) => {
      const b = other[i];
      if (a.node !== b.node || a.name !== b.name || a.people?.size !== b.people?.size) return false;
      for (const [key, count] of a.people ?? []) if (b.people?.get(key) !== count) return false;
      return true;
    })
  );
}
