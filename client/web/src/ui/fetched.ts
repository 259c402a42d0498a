/** What the page asks of the node that serves it, besides the world. */

import { type City, readCity } from "../draw/city";

const CITY_AGAIN_MS = 2000;

/** The city's drawing; asks until it is there. */
export async function fetchCity(): Promise<City> {
  for (;;) {
    const told = await ask("/api/v1/city");
    if (told !== null) return readCity(told);
    await new Promise((resolve) => setTimeout(resolve, CITY_AGAIN_MS));
  }
}

/** The JSON value at a path of the node that serves the page; null if no answer came. */
export async function ask(path: string): Promise<unknown> {
  try {
    const answer = await fetch(path);
    return answer.ok ? await answer.json() : null;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // no network
    return null;
  }
}
