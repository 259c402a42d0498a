/**
 * How somebody looks, as the short text of a profile:
 *
 *   look   = outfit ":" above ["/" below] *(";" key ":" value)
 *   outfit = "hanbok" | "plain" | "coat"
 *   keys   = h hair (short, long, bun, gat), t tone (hair colour), s skin, w with (glasses, wheelchair, cane, lantern)
 *
 * e.g. `hanbok:jade/red;h:bun;t:black`. Keys may be written out (`hair`), but every look written here fits the 64
 * characters that a profile has for it. Colours are names of the palette; whatever is unknown is chosen by the
 * person's number, so that everybody looks like somebody, the same to all.
 */

import { chance } from "./hints";

export const CLOTH = {
  red: "#f15b5b",
  crimson: "#b82647",
  yellow: "#f8e77f",
  green: "#c0d84d",
  jade: "#9ed6c0",
  blue: "#0b6db7",
  indigo: "#45436c",
  undyed: "#e6dcc8",
  pink: "#f3b5c0",
  violet: "#9b7fb5",
  grey: "#8b8d92",
  white: "#f4f0e6",
  black: "#33343b",
  brown: "#8a6248",
} as const;

export const TONES = {
  black: "#26242a",
  brown: "#5a4032",
  light: "#b08a5a",
  grey: "#a9a6a2",
  red: "#8c3f2e",
} as const;
export const SKINS = {
  light: "#f2d7c0",
  warm: "#e6bd98",
  tan: "#c7946a",
  brown: "#95643f",
  dark: "#5d3d2a",
} as const;
export const OUTFITS = ["hanbok", "plain", "coat"] as const;
export const HAIRS = ["short", "long", "bun", "gat"] as const;
export const EXTRAS = ["", "glasses", "wheelchair", "cane", "lantern"] as const;

export type Cloth = keyof typeof CLOTH;

export interface Look {
  readonly outfit: (typeof OUTFITS)[number];
  readonly above: Cloth;
  readonly below: Cloth;
  readonly hair: (typeof HAIRS)[number];
  readonly tone: keyof typeof TONES;
  readonly skin: keyof typeof SKINS;
  readonly extra: (typeof EXTRAS)[number];
}

const PAIRS: readonly (readonly [Cloth, Cloth])[] = [
  ["jade", "red"],
  ["yellow", "crimson"],
  ["white", "blue"],
  ["green", "crimson"],
  ["pink", "indigo"],
  ["undyed", "jade"],
  ["white", "pink"],
  ["crimson", "indigo"],
  ["violet", "white"],
];
const PLAIN: readonly Cloth[] = [
  "grey",
  "white",
  "black",
  "blue",
  "undyed",
  "brown",
  "jade",
  "indigo",
  "red",
];

function pick<T>(of: readonly T[], at: number): T {
  return of[Math.min(of.length - 1, Math.floor(at * of.length))];
}

/** The look chosen by a number alone. */
export function lookOf(id: number, hanbokShare = 0.45): Look {
  const low = (id % 4294967296) | 0;
  const roll = (n: number): number => chance(low, n, 97);
  const hanbok = roll(1) < hanbokShare;
  const [above, below] = hanbok
    ? pick(PAIRS, roll(2))
    : ([pick(PLAIN, roll(2)), pick(PLAIN, roll(3))] as const);
  return {
    outfit: hanbok ? "hanbok" : roll(4) < 0.3 ? "coat" : "plain",
    above,
    below,
    hair: hanbok ? pick(HAIRS, roll(5)) : pick(["short", "long", "short"] as const, roll(5)),
    tone: pick(["black", "black", "black", "brown", "brown", "grey", "light"] as const, roll(6)),
    skin: pick(["light", "light", "warm", "warm", "tan", "brown", "dark"] as const, roll(7)),
    extra: roll(8) < 0.04 ? "cane" : roll(8) < 0.07 ? "wheelchair" : roll(8) < 0.2 ? "lantern" : "",
  };
}

function known<T extends string>(text: string | undefined, of: readonly T[], otherwise: T): T {
  return of.includes(text as T) ? (text as T) : otherwise;
}

/** Reads a profile's look; unknown parts are as the person's number says. */
export function readLook(text: string, id: number): Look {
  const base = lookOf(id);
  if (text === "") return base;
  const [first = "", ...rest] = text.slice(0, 64).split(";");
  const [outfit, colours = ""] = first.split(":");
  const [above, below] = colours.split("/");
  const more = new Map(rest.map((part) => part.split(":") as [string, string]));
  const cloths = Object.keys(CLOTH) as Cloth[];
  return {
    outfit: known(outfit, OUTFITS, base.outfit),
    above: known(above, cloths, base.above),
    below: known(below, cloths, base.below),
    hair: known(more.get("h") ?? more.get("hair"), HAIRS, base.hair),
    tone: known(more.get("t") ?? more.get("tone"), Object.keys(TONES) as (keyof typeof TONES)[], base.tone),
    skin: known(more.get("s") ?? more.get("skin"), Object.keys(SKINS) as (keyof typeof SKINS)[], base.skin),
    extra: known(more.get("w") ?? more.get("with"), EXTRAS, ""),
  };
}

export function writeLook(look: Look): string {
  const extra = look.extra === "" ? "" : `;w:${look.extra}`;
  return `${look.outfit}:${look.above}/${look.below};h:${look.hair};t:${look.tone};s:${look.skin}${extra}`;
}
