/** What nodes tell by a code is told in both languages; every look fits a profile; slow devices draw fewer pixels. */

import assert from "node:assert/strict";
import { mock, test } from "node:test";
import {
  CLOTH,
  EXTRAS,
  HAIRS,
  type Look,
  OUTFITS,
  readLook,
  SKINS,
  TONES,
  writeLook,
} from "../src/draw/look";
import { Pace } from "../src/draw/pace";
import type { Events, World } from "../src/state/world";
import { goTo } from "../src/ui/going";
import { CODES, codeText } from "../src/words/codes";

/** Every code that a node of this release tells a person, and those this page tells of a node. */
const TOLD = [
  // DONE
  ..."busy moved lapsed disk verb text yours_full full expunged far no_target not_now".split(" "),
  ..."no_programme not_there no_rehearsal soon rehearsed report-rate report-signature".split(" "),
  // NOTICE
  ..."no-such-place place-closed place-full aboard no-bus bus-full on-board not-aboard bus-moving".split(" "),
  ..."got-off set-down say-rate say-text say-clock say-signature say-group say-place say-nobody".split(" "),
  ..."say-channel blocks-full groups-full muted removed lapsed rehearsal programme pace".split(" "),
  // BYE
  ..."again full key malformed moved lapsed expired elsewhere leaving slow banned version url clock".split(
    " ",
  ),
  ..."signature twice node".split(" "),
  // CORRECT, but for the wishes go, board and off
  ..."outside reach ride closed wall".split(" "),
];

test("every code that nodes tell has a sentence in Korean and in English", () => {
  for (const code of TOLD) {
    assert(Object.hasOwn(CODES, code), code);
    const { ko, en } = CODES[code as keyof typeof CODES];
    if (code !== "programme") {
      assert(/[가-힣]/.test(ko), code);
      assert(/[a-z]{2}/.test(en), code);
    }
  }
});

test("values come out of the node's sentence; what is unknown is shown as it came", () => {
  const until = "A moderator has muted you at plaza until 2026-01-01 00:00 (Seoul): spam.";
  assert.equal(codeText("muted", until, "ko"), "2026-01-01 00:00까지 대화를 보낼 수 없어요. 까닭: spam");
  assert.equal(
    codeText("on-board", "Bus 3, seat 12, from N Seoul Tower.", "ko"),
    "버스 3, 좌석 12. 타는 곳: N Seoul Tower",
  );
  const where = "No bus stands here. The nearest stop is Myeong-dong, 120 m away; a bus comes in 30 s.";
  assert.equal(
    codeText("no-bus", where, "en"),
    "No bus stands here. The nearest stop is Myeong-dong, 120 m away.",
  );
  assert.equal(codeText("rehearsal", "타종 · The bell", "ko"), "리허설이 시작돼요: 타종");
  assert.equal(codeText("got-off", "Something else.", "ko"), "Something else.");
  assert.equal(codeText("of-tomorrow", "New.", "ko"), "New.");
  assert.equal(codeText("constructor", "", "ko"), null);
});

test("every look that can be chosen fits 64 characters and reads back the same", () => {
  const cloths = Object.keys(CLOTH) as (keyof typeof CLOTH)[];
  const longest = <T extends string>(of: readonly T[]): T =>
    of.reduce((a, b) => (b.length > a.length ? b : a));
  const all: Look = {
    outfit: longest(OUTFITS),
    above: longest(cloths),
    below: longest(cloths),
    hair: longest(HAIRS),
    tone: longest(Object.keys(TONES) as (keyof typeof TONES)[]),
    skin: longest(Object.keys(SKINS) as (keyof typeof SKINS)[]),
    extra: longest(EXTRAS),
  };
  assert(writeLook(all).length <= 64, writeLook(all));
  for (const extra of EXTRAS) {
    for (const hair of HAIRS) {
      const look = { ...all, hair, extra };
      assert.deepEqual(readLook(writeLook(look), 5), look);
    }
  }
  assert.equal(readLook("plain:blue;hair:bun;with:cane", 5).hair, "bun");
});

test("slow frames lower the pixels drawn, step by step, never below those of CSS; a hidden page does not", () => {
  const pace = new Pace();
  assert.equal(pace.ratio(3), 2);
  for (let i = 0; i < 200; i++) assert(!pace.frame(16, 3) && !pace.frame(900, 3));
  const seen: number[] = [];
  for (let i = 0; i < 600; i++) if (pace.frame(50, 3)) seen.push(pace.ratio(3));
  assert.deepEqual(seen, [1.75, 1.5, 1.25, 1]);
  assert.equal(new Pace().ratio(1), 1);
});

/** A world that is only asked to go somewhere. */
class Goer implements Pick<World, "go" | "on"> {
  readonly asked: string[] = [];
  private readonly handlers = new Set<(name: string, news: unknown) => void>();

  go(place: string, friend?: number): void {
    this.asked.push(friend === undefined ? place : `${place} ${friend}`);
  }

  on<K extends keyof Events>(event: K, handler: (news: Events[K]) => void): () => void {
    const one = (name: string, news: unknown): void => {
      if (name === event) handler(news as Events[K]);
    };
    this.handlers.add(one);
    return () => this.handlers.delete(one);
  }

  emit<K extends keyof Events>(event: K, news: Events[K]): void {
    for (const handler of [...this.handlers]) handler(event, news);
  }

  get listeners(): number {
    return this.handlers.size;
  }
}

test("one is there when the node says so, and not before; a refusal is an answer too", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const world = new Goer();
    const going = goTo(world, "bosingak");
    world.emit("correct", { reason: "wall" });
    world.emit("notice", { code: "programme", sentence: "" });
    assert.equal(world.listeners, 2, "still on the way");
    mock.timers.tick(4000); // the node has died: the next one is asked
    assert.deepEqual(world.asked, ["bosingak", "bosingak"]);
    world.emit("correct", { reason: "go" });
    assert.equal(await going, "there");
    const refused = goTo(world, "mayors-office");
    world.emit("notice", { code: "place-full", sentence: "" });
    assert.equal(await refused, "refused");
    const alone = goTo(world, "friend", 7);
    world.emit("notice", { code: "friend-away", sentence: "" });
    assert.equal(await alone, "refused");
    const unanswered = goTo(world, "nowhere");
    mock.timers.tick(4000);
    mock.timers.tick(4000);
    mock.timers.tick(4000);
    mock.timers.tick(4000);
    assert.equal(await unanswered, "unanswered");
    assert.equal(world.listeners, 0, "nobody listens for ever");
    assert.equal(world.asked.length, 2 + 1 + 1 + 4);
  } finally {
    mock.timers.reset();
  }
});
