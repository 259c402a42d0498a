/** The card where one chooses a name and a look; used at the first visit and later from the toolbar. */

import { paintFigure } from "../draw/figure";
import { CLOTH, type Cloth, EXTRAS, HAIRS, type Look, lookOf, OUTFITS, SKINS, TONES } from "../draw/look";
import { type Key, language, say } from "../words";
import { sendable } from "../words/clean";
import { button, choice, el, field } from "./dom";

const OUTFIT: Record<Look["outfit"], Key> = { hanbok: "hanbok", plain: "casual", coat: "coat" };
const HAIR: Record<Look["hair"], Key> = { short: "hairShort", long: "hairLong", bun: "hairBun", gat: "gat" };
const EXTRA: Record<Look["extra"], Key> = {
  "": "nothing",
  glasses: "glasses",
  wheelchair: "wheelchair",
  cane: "cane",
  lantern: "handLantern",
};

/** Traditional names of the colours, and plain English ones. */
const COLOUR: Record<Cloth, readonly [string, string]> = {
  red: ["홍색", "red"],
  crimson: ["적색", "crimson"],
  yellow: ["송화색", "pale yellow"],
  green: ["연두색", "yellow-green"],
  jade: ["옥색", "jade"],
  blue: ["청색", "blue"],
  indigo: ["숙람", "deep indigo"],
  undyed: ["소색", "undyed"],
  pink: ["분홍", "pink"],
  violet: ["보라", "violet"],
  grey: ["회색", "grey"],
  white: ["흰색", "white"],
  black: ["검정", "black"],
  brown: ["밤색", "brown"],
};
const TONE = {
  black: ["검정", "black"],
  brown: ["갈색", "brown"],
  light: ["밝은색", "light"],
  grey: ["회색", "grey"],
  red: ["붉은색", "red"],
} as const;
const SKIN = {
  light: ["밝게", "light"],
  warm: ["따뜻하게", "warm"],
  tan: ["그을리게", "tan"],
  brown: ["갈색", "brown"],
  dark: ["짙게", "dark"],
} as const;

const word = (pair: readonly [string, string]): string => pair[language() === "ko" ? 0 : 1];

export interface LookCard {
  readonly form: HTMLFormElement;
  readonly name: HTMLInputElement;
  readonly look: () => Look;
}

/** A form of name and look that calls `done` when both are good. */
export function lookCard(
  name: string,
  start: Look,
  submit: string,
  done: (name: string, look: Look) => void,
): LookCard {
  let look = start;
  const preview = el("canvas", {
    class: "portrait",
    label: say("preview"),
    attributes: { role: "img", width: "220", height: "220" },
  });
  const paint = (): void => {
    const ink = preview.getContext("2d");
    if (ink === null) return;
    ink.setTransform(1, 0, 0, 1, 0, 0);
    ink.clearRect(0, 0, 220, 220);
    ink.translate(110, 116);
    ink.rotate(Math.PI);
    ink.scale(96, 96);
    paintFigure(ink, look, "stand", false, 96);
  };
  const nameInput = el("input", {
    class: "foreign",
    attributes: { maxlength: "32", autocomplete: "nickname", required: "", dir: "auto", name: "name" },
  });
  nameInput.value = name;
  const fields = el("div", { class: "look-fields" });
  const set = (part: Partial<Look>): void => {
    look = { ...look, ...part };
    paint();
  };
  const swatches = (label: string, now: () => Cloth, put: (colour: Cloth) => void): HTMLElement => {
    const group = el("div", { class: "swatches", label, attributes: { role: "radiogroup" } });
    for (const colour of Object.keys(CLOTH) as Cloth[]) {
      const one = el("button", {
        class: `swatch swatch-${colour}`,
        label: word(COLOUR[colour]),
        title: word(COLOUR[colour]),
        attributes: { type: "button", role: "radio", "aria-checked": String(now() === colour) },
      });
      one.addEventListener("click", () => {
        put(colour);
        for (const other of group.children) other.setAttribute("aria-checked", String(other === one));
      });
      group.append(one);
    }
    return el("div", { class: "field" }, el("span", { class: "field-name", text: label }), group);
  };
  const options = <T extends string>(all: readonly T[], names: (value: T) => string): [T, string][] =>
    all.map((value) => [value, names(value)]);
  const build = (): void => {
    fields.replaceChildren(
      field(
        say("outfit"),
        choice(
          options(OUTFITS, (o) => say(OUTFIT[o])),
          look.outfit,
          (outfit) => set({ outfit }),
        ),
      ),
      swatches(
        say("colourTop"),
        () => look.above,
        (above) => set({ above }),
      ),
      swatches(
        say("colourSkirt"),
        () => look.below,
        (below) => set({ below }),
      ),
      field(
        say("hair"),
        choice(
          options(HAIRS, (h) => say(HAIR[h])),
          look.hair,
          (hair) => set({ hair }),
        ),
      ),
      field(
        language() === "ko" ? "머리 색" : "hair colour",
        choice(
          options(Object.keys(TONES) as Look["tone"][], (t) => word(TONE[t])),
          look.tone,
          (tone) => set({ tone }),
        ),
      ),
      field(
        say("skin"),
        choice(
          options(Object.keys(SKINS) as Look["skin"][], (t) => word(SKIN[t])),
          look.skin,
          (skin) => set({ skin }),
        ),
      ),
      field(
        say("with"),
        choice(
          options(EXTRAS, (e) => say(EXTRA[e])),
          look.extra,
          (extra) => set({ extra }),
        ),
      ),
    );
    paint();
  };
  build();
  const form = el(
    "form",
    { class: "look-card" },
    field(say("name"), nameInput, say("nameHint")),
    el(
      "div",
      { class: "look-row" },
      el(
        "div",
        { class: "portrait-box" },
        preview,
        button(say("surprise"), () => {
          look = lookOf(Math.floor(Math.random() * 2 ** 31), 0.6);
          build();
        }),
      ),
      fields,
    ),
    el("button", { class: "primary", text: submit, attributes: { type: "submit" } }),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const given = sendable(nameInput.value);
    if (given === "") {
      nameInput.setCustomValidity(say("nameNeeded"));
      nameInput.reportValidity();
      nameInput.setCustomValidity("");
      return;
    }
    done([...given].slice(0, 32).join(""), look);
  });
  return { form, name: nameInput, look: () => look };
}
