/** One person seen from above, facing north, drawn in units where the body is about one wide; and the light on it. */

import { disc, type Ink, rgba, shade } from "./brush";
import { CLOTH, type Look, SKINS, TONES } from "./look";

/** What the body does; walking has two strides. */
export type Posture = "stand" | "left" | "right" | "sit" | "wave" | "bow" | "dance" | "clap" | "drum";
export const POSTURES: readonly Posture[] = [
  "stand",
  "left",
  "right",
  "sit",
  "wave",
  "bow",
  "dance",
  "clap",
  "drum",
];

/** Side of the square a figure fits in, in body units. */
export const FIGURE_SIDE = 2.2;

/** Draws at the origin, north up (canvas y down), `size` device pixels a body unit. `program`: marked as one. */
export function paintFigure(ink: Ink, look: Look, posture: Posture, program: boolean, size: number): void {
  const fine = size > 9;
  const above = CLOTH[look.above];
  const below = CLOTH[look.below];
  const skin = SKINS[look.skin];
  const tone = TONES[look.tone];
  const edge = rgba(30, 26, 40, 0.34);
  const line = Math.max(0.035, 0.8 / size);
  const oval = (x: number, y: number, a: number, b: number, colour: string, outlined = true): void => {
    ink.beginPath();
    ink.ellipse(x, y, a, b, 0, 0, 2 * Math.PI);
    ink.fillStyle = colour;
    ink.fill();
    if (outlined && size > 5) {
      ink.strokeStyle = edge;
      ink.lineWidth = line;
      ink.stroke();
    }
  };
  const arm = (side: 1 | -1, x: number, y: number): void => {
    ink.beginPath();
    ink.moveTo(side * 0.36, -0.02);
    ink.quadraticCurveTo(
      side * (Math.abs(x) * 0.6 + 0.25),
      y * 0.4,
      side * Math.abs(x) * Math.sign(x || 1),
      y,
    );
    ink.strokeStyle = shade(above, -0.12);
    ink.lineWidth = look.outfit === "hanbok" ? 0.24 : 0.17;
    ink.lineCap = "round";
    ink.stroke();
    if (fine) disc(ink, side * x, y, 0.075, skin);
  };
  if (program) {
    // programs stand on a marked ring, so that nobody takes them for people
    ink.beginPath();
    ink.arc(0, 0, 0.86, 0, 2 * Math.PI);
    ink.strokeStyle = rgba(57, 118, 140, 0.9);
    ink.lineWidth = Math.max(0.07, 1.1 / size);
    ink.setLineDash([0.22, 0.18]);
    ink.stroke();
    ink.setLineDash([]);
  }
  const sway = posture === "left" ? -1 : posture === "right" ? 1 : 0;
  const wheels = look.extra === "wheelchair";
  if (wheels) {
    for (const side of [-1, 1]) {
      ink.fillStyle = "#3a3c42";
      ink.fillRect(side * 0.52 - 0.06, -0.42, 0.12, 0.84);
    }
    ink.fillStyle = "#5b6470";
    ink.fillRect(-0.42, -0.36, 0.84, 0.78);
  }
  if (posture === "sit" && !wheels) {
    oval(0, -0.02, 0.72, 0.7, shade(look.outfit === "hanbok" ? below : "#a9814f", 0.1));
    if (look.outfit !== "hanbok") {
      oval(-0.2, -0.38, 0.16, 0.34, shade(below, -0.1));
      oval(0.2, -0.38, 0.16, 0.34, shade(below, -0.1));
    }
  } else if (look.outfit === "hanbok" && look.hair !== "gat") {
    // a wide skirt, swinging with the stride
    oval(sway * 0.05, 0.06, 0.6, 0.56, below);
    if (fine) {
      ink.strokeStyle = shade(below, -0.2);
      ink.lineWidth = line;
      ink.beginPath();
      for (let i = 0; i < 9; i++) {
        const turn = (i / 9) * 2 * Math.PI + sway * 0.12;
        ink.moveTo(Math.cos(turn) * 0.26, 0.06 + Math.sin(turn) * 0.24);
        ink.lineTo(Math.cos(turn) * 0.54, 0.06 + Math.sin(turn) * 0.5);
      }
      ink.stroke();
    }
  } else if (!wheels) {
    const stride = sway * 0.26;
    oval(-0.17, -0.04 - stride, 0.15, 0.26, shade(below, -0.18));
    oval(0.17, -0.04 + stride, 0.15, 0.26, shade(below, -0.18));
    if (look.outfit !== "plain") oval(0, 0.05, 0.48, 0.42, shade(above, -0.06));
  } else {
    oval(0, -0.26, 0.3, 0.3, below);
  }
  if (posture === "wave") arm(1, 0.62, -0.62);
  else if (posture === "clap") for (const side of [-1, 1] as const) arm(side, 0.07, -0.62);
  else if (posture === "dance") {
    arm(-1, 0.86, -0.3);
    arm(1, 0.86, 0.22);
  } else if (posture === "drum") for (const side of [-1, 1] as const) arm(side, 0.3, -0.7);
  else if (posture !== "bow") {
    arm(-1, 0.46, -0.16 + sway * 0.24);
    arm(1, 0.46, -0.16 - sway * 0.24);
  }
  if (posture === "wave") arm(-1, 0.46, -0.1);
  // shoulders
  const lean = posture === "bow" ? -0.3 : 0;
  oval(0, lean, 0.48, posture === "bow" ? 0.36 : 0.27, above);
  if (look.outfit === "hanbok" && fine) {
    ink.strokeStyle = rgba(255, 252, 240, 0.95);
    ink.lineWidth = 0.07;
    ink.beginPath();
    ink.moveTo(-0.16, lean - 0.12);
    ink.lineTo(0.02, lean - 0.26);
    ink.lineTo(0.18, lean - 0.12);
    ink.stroke();
    ink.strokeStyle = shade(below, -0.05);
    ink.beginPath();
    ink.moveTo(0.03, lean - 0.24);
    ink.lineTo(0.12, lean - 0.5);
    ink.stroke();
  }
  const head = posture === "bow" ? -0.56 : -0.04;
  if (look.hair === "gat") {
    oval(0, head, 0.46, 0.46, rgba(29, 30, 35, 0.86));
    disc(ink, 0, head, 0.22, "#17181c");
    if (fine) disc(ink, -0.06, head - 0.06, 0.08, rgba(255, 255, 255, 0.14));
  } else {
    if (fine) oval(0, head - 0.17, 0.13, 0.13, skin, false);
    if (look.hair === "long") oval(0, head + 0.16, 0.23, 0.3, tone, false);
    oval(0, head, 0.25, 0.26, tone);
    if (look.hair === "bun") oval(0, head + 0.24, 0.12, 0.11, shade(tone, 0.08));
    if (fine) disc(ink, -0.07, head - 0.05, 0.09, rgba(255, 255, 255, 0.16));
    if (look.extra === "glasses" && fine) {
      ink.strokeStyle = "#2b2b30";
      ink.lineWidth = 0.05;
      ink.beginPath();
      ink.moveTo(-0.17, head - 0.24);
      ink.lineTo(0.17, head - 0.24);
      ink.stroke();
    }
  }
  if (look.extra === "cane") {
    ink.strokeStyle = "#fbfbf8";
    ink.lineWidth = 0.07;
    ink.beginPath();
    ink.moveTo(0.42, -0.2);
    ink.lineTo(0.28, -1.02);
    ink.stroke();
  } else if (look.extra === "lantern") {
    disc(ink, 0.6, -0.36, 0.17, "#d23b3b");
    disc(ink, 0.6, -0.36, 0.09, "#ffd98a");
  }
  if (posture === "drum") {
    disc(ink, 0, -0.78, 0.3, "#a33a2c");
    disc(ink, 0, -0.78, 0.23, "#efe3c8");
  }
}
