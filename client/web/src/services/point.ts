/**
 * A place in Seoul without a map, or with one: a gu, the name of a place, or coordinates, each of which fills in the
 * next. The map is drawn for those who point; everything it does the words beside it do too.
 */

import type { GuOf } from "../civic/gu";
import { button } from "../ui/dom";
import type { Seoul } from "./city";
import { tell } from "./page";
import { named, say } from "./words";

const SVG = "http://www.w3.org/2000/svg";
const ASPECT = Math.cos((37.56 * Math.PI) / 180); // a degree of longitude is so much shorter here
const SCALE = 1_000;
const POINT = /^(37\.[0-9]+),(12[67]\.[0-9]+)$/;

type Place = readonly [number, number];

export function enhancePoint(box: HTMLElement, seoul: Seoul, guOf: GuOf): void {
  new PointControl(box, seoul, guOf).begin();
}

class PointControl {
  private readonly gu: HTMLSelectElement;
  private readonly near: HTMLInputElement;
  private readonly at: HTMLInputElement;
  private readonly where: HTMLElement;
  private readonly map: SVGSVGElement;
  private readonly pin: SVGCircleElement;
  private readonly outlines = new Map<string, SVGPathElement>();

  constructor(
    box: HTMLElement,
    private readonly seoul: Seoul,
    private readonly guOf: GuOf,
  ) {
    const find = <T extends HTMLElement>(name: string) => box.querySelector(`[data-point-${name}]`) as T;
    this.gu = find("gu");
    this.near = find("near");
    this.at = find("at");
    this.where = find("where");
    this.map = document.createElementNS(SVG, "svg");
    this.pin = document.createElementNS(SVG, "circle");
    const place = find<HTMLElement>("map");
    this.map.setAttribute("aria-hidden", "true"); // the words beside it say and do all of this
    place.prepend(this.map);
    const whole = button(say("wholeCity"), () => this.look(null));
    whole.tabIndex = -1;
    whole.ariaHidden = "true";
    place.append(whole);
    if ("geolocation" in navigator && isSecureContext)
      this.where.before(button(say("hereNow"), () => this.here()));
  }

  begin(): void {
    this.draw();
    this.gu.addEventListener("change", () => this.guChosen());
    this.near.addEventListener("change", () => this.nearChosen());
    this.near.addEventListener("input", () => this.nearChosen());
    this.at.addEventListener("change", () => this.moved());
    this.map.addEventListener("click", (event) => this.pressed(event));
    this.moved();
  }

  private guChosen(): void {
    const chosen = this.seoul.gu[this.gu.value];
    if (chosen === undefined) return;
    if (this.guOf(this.at.value) !== this.gu.value) this.go(chosen.middle);
    this.look(this.gu.value);
    tell(this.where, say("middleOf", { gu: named(chosen.name) }));
  }

  private nearChosen(): void {
    const name = this.near.value.trim();
    const found = this.seoul.places.find(({ name: each }) => Object.values(each).includes(name));
    if (found !== undefined) this.go(found.at);
  }

  private here(): void {
    navigator.geolocation.getCurrentPosition(
      ({ coords }) => this.go([coords.latitude, coords.longitude]),
      () => tell(this.where, say("hereFailed")),
      { enableHighAccuracy: true, timeout: 15_000 },
    );
  }

  private pressed(event: MouseEvent): void {
    const matrix = this.map.getScreenCTM();
    if (matrix === null) return;
    const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
    this.go([-y / SCALE, x / SCALE / ASPECT]);
  }

  private go([latitude, longitude]: Place): void {
    this.at.value = `${latitude.toFixed(5)},${longitude.toFixed(5)}`;
    this.at.dispatchEvent(new Event("change", { bubbles: true }));
  }

  /** Shows where the coordinates are. */
  private moved(): void {
    const [, latitude, longitude] = POINT.exec(this.at.value.replace(/\s+/g, "")) ?? [];
    this.pin.toggleAttribute("hidden", latitude === undefined);
    if (latitude === undefined || longitude === undefined) {
      tell(this.where, "");
      return;
    }
    const [x, y] = project([Number(latitude), Number(longitude)]);
    this.pin.setAttribute("cx", String(x));
    this.pin.setAttribute("cy", String(y));
    const gu = this.guOf(`${latitude},${longitude}`);
    this.gu.value = gu ?? "";
    tell(
      this.where,
      gu === null ? say("outside") : say("insideGu", { gu: named(this.seoul.gu[gu]?.name ?? {}) }),
    );
    this.look(gu);
  }

  // ---- the drawing

  private draw(): void {
    for (const [slug, { outline }] of Object.entries(this.seoul.gu)) {
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("d", `M${outline.map((each) => project(each).join(" ")).join("L")}Z`);
      this.map.append(path);
      this.outlines.set(slug, path);
    }
    for (const { name, middle } of Object.values(this.seoul.gu)) {
      const text = document.createElementNS(SVG, "text");
      const [x, y] = project(middle);
      text.setAttribute("x", String(x));
      text.setAttribute("y", String(y));
      text.textContent = named(name).replace(/-gu$/, "");
      this.map.append(text);
    }
    this.pin.setAttribute("class", "pin");
    this.map.append(this.pin);
    this.look(null);
  }

  /** Looks at a gu, or at the whole city. */
  private look(slug: string | null): void {
    const shown = slug === null ? Object.values(this.seoul.gu) : [this.seoul.gu[slug]];
    const points = shown.flatMap((gu) => gu?.outline ?? []).map(project);
    const xs = points.map(([x]) => x);
    const ys = points.map(([, y]) => y);
    const [left, top] = [Math.min(...xs), Math.min(...ys)];
    const [wide, high] = [Math.max(...xs) - left, Math.max(...ys) - top];
    const rim = 0.06 * Math.max(wide, high);
    this.map.setAttribute("viewBox", `${left - rim} ${top - rim} ${wide + 2 * rim} ${high + 2 * rim}`);
    const unit = Math.max(wide, high * 1.2) / 100;
    this.pin.setAttribute("r", String(1.6 * unit));
    for (const text of this.map.querySelectorAll("text")) text.setAttribute("font-size", String(3 * unit));
    for (const [each, path] of this.outlines) path.classList.toggle("chosen", each === slug);
  }
}

function project([latitude, longitude]: Place): [number, number] {
  return [longitude * ASPECT * SCALE, -latitude * SCALE];
}
