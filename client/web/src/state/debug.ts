/** What tests read of a running page, as plain values; nothing can be changed through it. */

import type { World } from "./world";

const TROUBLES_MAX = 16;

/** Lets `window.p2pworld.read()` tell where one is and who is around. */
export function expose(world: World): void {
  const troubles: string[] = [];
  world.on(
    "trouble",
    ({ code, sentence }) => troubles.push(`${code}: ${sentence}`) > TROUBLES_MAX && troubles.shift(),
  );
  world.on(
    "elsewhere",
    ({ where }) => troubles.push(`elsewhere: ${where}`) > TROUBLES_MAX && troubles.shift(),
  );
  const read = () => {
    const view = world.view(performance.now());
    const { link, node, url, handoffs, count, me } = view;
    return {
      link,
      node,
      url,
      handoffs,
      count,
      me: me && { ...me },
      near: Array.from(view.ids.subarray(0, count), (id, i) => ({
        id,
        east: view.east[i],
        north: view.north[i],
      })),
      objects: [...view.objects.values()].map(({ key, kind, text, east, north, count: times }) => ({
        key,
        kind,
        text,
        east,
        north,
        count: times,
      })),
      people: [...view.people.values()],
      places: world.places?.all.map(({ id }) => id) ?? null,
      serverTime: view.serverTime(),
      roundTripMs: view.roundTripMs,
      troubles: [...troubles],
    };
  };
  Object.defineProperty(globalThis, "p2pworld", { value: Object.freeze({ read }) });
}
