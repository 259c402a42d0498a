/** What the page asks of the node that serves it, besides the world: the city's drawing, and who carries what. */

import { type City, readCity } from "../draw/city";
import type { RegionShape } from "../draw/renderer";

const CITY_AGAIN_MS = 2000;
/** EPSG:5179 metres of the root's south-west corner, which regions are told in. */
const ROOT = { east: 920_000, north: 1_920_000 };

/** The city's drawing; asks until it is there. */
export async function fetchCity(): Promise<City> {
  for (;;) {
    const told = await ask("/api/v1/city");
    if (told !== null) return readCity(told);
    await new Promise((resolve) => setTimeout(resolve, CITY_AGAIN_MS));
  }
}

/** The regions of the city map and who holds them; null if no answer came. */
export async function fetchRegions(): Promise<RegionShape[] | null> {
  const told = await ask("/api/v1/regions");
  if (told === null) return null;
  const { regions } = told as {
    regions: {
      bounds: { west: number; south: number; east: number; north: number };
      holder: string | null;
    }[];
  };
  return regions.map(({ bounds, holder }) => ({
    west: bounds.west - ROOT.east,
    east: bounds.east - ROOT.east,
    south: bounds.south - ROOT.north,
    north: bounds.north - ROOT.north,
    holder,
  }));
}

async function ask(path: string): Promise<unknown> {
  try {
    const answer = await fetch(path);
    return answer.ok ? await answer.json() : null;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // no network
    return null;
  }
}
