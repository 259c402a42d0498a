/**
 * What the eye expects of Seoul where nothing is declared: hills, streams, great streets, and blocks between them.
 *
 * Decoration only: nobody bumps into it. Hills, streams and streets are estimates from general knowledge, good to
 * some hundred metres; the blocks are invented, the same for everybody. Metres from the root's south-west corner.
 */

import type { Line } from "../state/places";

export interface Hill {
  readonly ko: string;
  readonly en: string;
  readonly east: number;
  readonly north: number;
  readonly radius: number;
}

const hill = (ko: string, en: string, east: number, north: number, radius: number): Hill => ({
  ko,
  en,
  east,
  north,
  radius,
});

export const HILLS: readonly Hill[] = [
  hill("남산", "Namsan", 34880, 30250, 760),
  hill("인왕산", "Inwangsan", 32050, 34050, 700),
  hill("북악산", "Bugaksan", 33560, 35150, 900),
  hill("북한산", "Bukhansan", 33890, 41900, 3400),
  hill("도봉산", "Dobongsan", 37230, 46500, 2300),
  hill("수락산", "Suraksan", 43200, 46500, 1700),
  hill("불암산", "Bulamsan", 44350, 42850, 1300),
  hill("아차산", "Achasan", 45300, 32900, 1100),
  hill("관악산", "Gwanaksan", 32500, 19300, 2600),
  hill("우면산", "Umyeonsan", 36630, 21420, 1100),
  hill("청계산", "Cheonggyesan", 40100, 17200, 1900),
  hill("대모산", "Daemosan", 42700, 21700, 900),
  hill("안산", "Ansan", 31000, 33300, 620),
  hill("낙산", "Naksan", 36480, 33650, 300),
  hill("봉산", "Bongsan", 26600, 36300, 800),
  hill("개화산", "Gaehwasan", 18450, 34050, 420),
];

const line = (...points: number[]): Line => Float64Array.from(points);

/** Streams and their widths in metres. */
export const STREAMS: readonly { readonly line: Line; readonly width: number }[] = [
  {
    line: line(
      37800,
      28900,
      38500,
      29900,
      39905,
      30755,
      41300,
      31000,
      42000,
      32500,
      42430,
      34590,
      42000,
      36300,
      41630,
      37580,
      41200,
      39500,
      40920,
      41350,
      40260,
      45180,
    ),
    width: 90,
  },
  {
    line: line(41450, 27500, 41900, 26400, 42025, 24980, 43200, 23700, 44670, 22430, 46170, 19660),
    width: 75,
  },
  { line: line(41960, 24710, 41200, 23500, 39905, 22650, 38310, 21100), width: 45 },
  { line: line(25500, 30900, 25072, 28540, 25425, 25540, 26480, 22430, 26750, 18880), width: 80 },
  { line: line(26300, 31100, 27000, 31900, 28515, 33310, 30900, 34530, 32310, 36190), width: 40 },
  { line: line(26900, 31800, 27455, 34420, 28780, 36750), width: 30 },
  {
    line: line(34978, 32210, 35900, 32260, 36900, 32220, 38400, 32150, 39600, 31300, 39905, 30800),
    width: 16,
  },
];

/** Great streets and their widths in metres. */
export const STREETS: readonly { readonly line: Line; readonly width: number }[] = [
  {
    line: line(33801, 32990, 33808, 32440, 33880, 31950, 33770, 31520, 33590, 31180, 33430, 30870),
    width: 44,
  },
  {
    line: line(32300, 32960, 33250, 32990, 33801, 33005, 34550, 33110, 35150, 33290, 36040, 33330),
    width: 30,
  },
  {
    line: line(
      32200,
      31800,
      33098,
      32236,
      33240,
      32400,
      33800,
      32420,
      34403,
      32360,
      35300,
      32440,
      36698,
      32500,
      38012,
      32760,
      39900,
      33300,
      42300,
      34500,
    ),
    width: 34,
  },
  { line: line(33960, 31985, 35200, 31960, 36560, 32000, 37900, 31500), width: 28 },
  { line: line(34400, 32350, 34330, 31950, 34010, 31500, 33690, 31280), width: 26 },
  {
    line: line(
      33430,
      30870,
      33382,
      29261,
      32900,
      28000,
      32150,
      26800,
      31700,
      25800,
      30800,
      24500,
      29900,
      22300,
    ),
    width: 40,
  },
  { line: line(36250, 28900, 36800, 27650, 37500, 26000, 38280, 24420, 38600, 21500), width: 44 },
  { line: line(35600, 23500, 38280, 24420, 41405, 25630, 44670, 26130, 47400, 27200), width: 44 },
  {
    line: line(
      36029,
      34400,
      36040,
      33330,
      36640,
      32530,
      36700,
      31500,
      36300,
      30900,
      35700,
      29300,
      35295,
      28474,
    ),
    width: 26,
  },
  { line: line(33692, 34000, 33600, 33400, 33560, 32980), width: 16 },
  {
    line: line(34330, 31950, 34600, 31400, 34800, 30900, 35250, 29800, 36250, 28900, 36700, 27800),
    width: 26,
  },
  { line: line(35060, 33350, 35020, 32380, 34990, 31960, 34830, 31300), width: 22 },
  { line: line(35500, 33300, 35600, 32440, 35580, 31960, 35700, 31100), width: 22 },
  { line: line(29254, 30317, 30421, 31700, 31900, 31750, 33098, 32236), width: 28 },
  {
    line: line(24300, 31700, 26500, 30900, 29000, 30200, 30300, 29500, 32000, 29400, 33382, 29261),
    width: 30,
  },
  {
    line: line(
      20400,
      30900,
      23000,
      27700,
      25200,
      25900,
      27800,
      26900,
      29300,
      27400,
      30500,
      26800,
      31700,
      25800,
    ),
    width: 34,
  },
  { line: line(31700, 25800, 33900, 24700, 35600, 23500), width: 30 },
  { line: line(36029, 34400, 36900, 36300, 38100, 38200, 38700, 40500, 39300, 43500), width: 28 },
  { line: line(39900, 33300, 41500, 31000, 43400, 29700, 45800, 29600), width: 30 },
  { line: line(43400, 29700, 44100, 27300, 44874, 26100, 45800, 23600), width: 34 },
  { line: line(27455, 34420, 28600, 37400, 29400, 39300), width: 26 },
];

/** A fast, well-mixed number 0..1 from whole numbers: the same everywhere and always. */
export function chance(a: number, b: number, c: number): number {
  let h =
    Math.imul(a ^ 0x9e3779b9, 0x85ebca6b) ^
    Math.imul(b ^ 0xc2b2ae35, 0x27d4eb2f) ^
    Math.imul(c + 0x165667b1, 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39);
  return ((h ^ (h >>> 15)) >>> 0) / 4294967296;
}
