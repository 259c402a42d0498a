/** What every part of the page shares: the world, what the person chose, and ways to speak to them. */

import type { Camera } from "../draw/camera";
import type { City } from "../draw/city";
import type { Place, Programme } from "../state/places";
import type { Said, World, WorldView } from "../state/world";
import type { Remembered, Settings } from "./settings";
import type { Sound } from "./sound";

/** Gwanghwamun, in metres from the root's corner: where the eye is before anybody is anywhere. */
export const GWANGHWAMUN = { east: 33_805, north: 32_960 };

export type PanelName =
  | "search"
  | "who"
  | "today"
  | "settings"
  | "words"
  | "help"
  | "board"
  | "counter"
  | "look"
  | "person"
  | "drum";

export interface Page {
  readonly world: World;
  readonly settings: Settings;
  readonly remembered: Remembered;
  readonly sound: Sound;
  readonly camera: Camera;
  city: City | null;
  /** The view of the last frame. */
  view: WorldView;
  /** The latest words of people, newest last. */
  readonly heard: readonly Said[];
  /** Whom the open card is about. */
  selected: number | null;

  /** Shows a sentence for a few seconds, and has it read. */
  toast(text: string): void;
  /** Has a sentence read, without showing it. */
  announce(text: string): void;
  open(panel: PanelName): void;
  close(): void;
  /** Shows a person's card. */
  person(id: number): void;
  /** Puts the writer's mark into the chat, on a channel. */
  talk(channel?: "near" | "direct", to?: number): void;
  /** Asks for a line of text; null when the person gave up. */
  ask(title: string, hint: string, label: string, go: string, limit: number): Promise<string | null>;
  /** Settings changed: keep them and let all parts follow. */
  changed(): void;
  placeHere(): Place | null;
  /** Takes one to a place by its id or name, called `label`, and says so; whether one stands there in the end. */
  goTo(place: string, label: string): Promise<boolean>;
  /** Takes one to a friend who welcomes one, and says so. */
  goToFriend(id: number, name: string): Promise<void>;
  hang(): void;
  ring(): void;
  /** Goes where it happens, and starts a rehearsal of it. */
  rehearse(programme: Programme): void;
  bus(): void;
  look(): string;
}
