/**
 * Being taken somewhere at once. GO has no answer of its own: the node says by a correction that one is there, and an
 * act asked for before that is asked for where one was.
 */

import type { World } from "../state/world";

const AGAIN_MS = 4000; // a node may die with the wish: the next one is asked again
const TRIES = 4;
/** Notices that say that one does not get there. */
const REFUSED = new Set([
  "no-such-place",
  "place-closed",
  "place-full",
  "friend-away",
  "friend-rides",
  "friend-rate",
]);

/** How it ended: one stands there, the node has said why not, or nobody has answered. */
export type Going = "there" | "refused" | "unanswered";

/** Goes to a place by its id or name, or, where that is `friend`, to somebody. */
export function goTo(world: Pick<World, "go" | "on">, place: string, friend?: number): Promise<Going> {
  return new Promise((resolve) => {
    let tries = 0;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const end = (how: Going): void => {
      clearTimeout(timer);
      for (const stop of listening) stop();
      resolve(how);
    };
    const ask = (): void => {
      if (tries === TRIES) {
        end("unanswered");
        return;
      }
      tries += 1;
      world.go(place, friend);
      timer = setTimeout(ask, AGAIN_MS);
    };
    const listening = [
      world.on("correct", ({ reason }) => {
        if (reason === "go") end("there");
      }),
      world.on("notice", ({ code }) => {
        if (REFUSED.has(code)) end("refused");
      }),
    ];
    ask();
  });
}
