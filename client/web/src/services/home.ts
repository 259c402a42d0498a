/** The list of services: narrowed as one types. Without this, the search asks the node. */

import { part, tell } from "./page";
import { say } from "./words";

export function beginHome(): void {
  const input = part<HTMLInputElement>("q");
  const line = part("found");
  const cards = [...document.querySelectorAll<HTMLElement>(".card[data-words]")];
  const sectors = [...document.querySelectorAll<HTMLElement>(".sector")];
  const topics = document.querySelector<HTMLElement>(".topics");
  if (topics === null) return; // the node has searched already
  input.addEventListener("input", () => {
    const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const card of cards)
      card.hidden = !wanted.every((word) => (card.dataset.words ?? "").includes(word));
    for (const sector of sectors) sector.hidden = sector.querySelector(".card:not([hidden])") === null;
    topics.hidden = wanted.length > 0;
    const count = cards.filter((card) => !card.hidden).length;
    tell(line, wanted.length === 0 ? "" : count === 0 ? say("foundNone") : say("found", { count }));
  });
}
