/**
 * Day and night over Seoul: where the sun stands, and how it colours everything.
 *
 * The light changes in steps (`key`), so that painted tiles and figures can be kept between them.
 */

export interface Light {
  /** Two lights with the same key paint the same. */
  readonly key: number;
  /** What everything is multiplied by, 0..255 each. */
  readonly tint: readonly [number, number, number];
  /** 0 by day, 1 at night: how strongly lamps, windows and lanterns glow. */
  readonly glow: number;
  /** Where a shadow falls: metres east and north for a metre of height. */
  readonly shadowEast: number;
  readonly shadowNorth: number;
  readonly shadow: number;
}

const LATITUDE = (37.5665 * Math.PI) / 180;
const LONGITUDE_DEG = 126.978;
const RAD = Math.PI / 180;

/** Elevation and azimuth (clockwise from north) of the sun over Seoul in radians; good to a tenth of a degree. */
export function sunOver(unixMs: number): { elevation: number; azimuth: number } {
  const days = unixMs / 86_400_000 - 10_957.5; // since noon of 2000-01-01
  const anomaly = (357.529 + 0.98560028 * days) * RAD;
  const longitude =
    (280.459 + 0.98564736 * days + 1.915 * Math.sin(anomaly) + 0.02 * Math.sin(2 * anomaly)) * RAD;
  const tilt = (23.439 - 3.6e-7 * days) * RAD;
  const ascension = Math.atan2(Math.cos(tilt) * Math.sin(longitude), Math.cos(longitude));
  const declination = Math.asin(Math.sin(tilt) * Math.sin(longitude));
  const sidereal = (280.46062 + 360.985647366 * days + LONGITUDE_DEG) * RAD;
  const hour = sidereal - ascension;
  const elevation = Math.asin(
    Math.sin(LATITUDE) * Math.sin(declination) + Math.cos(LATITUDE) * Math.cos(declination) * Math.cos(hour),
  );
  const azimuth = Math.atan2(
    -Math.sin(hour),
    Math.tan(declination) * Math.cos(LATITUDE) - Math.sin(LATITUDE) * Math.cos(hour),
  );
  return { elevation, azimuth: (azimuth + 2 * Math.PI) % (2 * Math.PI) };
}

/** [elevation in degrees, red, green, blue, glow] */
const GRADE: readonly (readonly [number, number, number, number, number])[] = [
  [-16, 70, 80, 126, 1],
  [-8, 84, 94, 146, 1],
  [-4, 142, 134, 186, 0.75],
  [-0.5, 222, 176, 178, 0.4],
  [3, 250, 214, 180, 0.12],
  [9, 255, 242, 222, 0],
  [20, 255, 255, 255, 0],
];

const STEPS_A_TURN = 36;

/** The light at a moment; `wish` overrides the clock. */
export function lightAt(unixMs: number, wish: "clock" | "day" | "night"): Light {
  const sun = wish === "clock" ? sunOver(unixMs) : { elevation: wish === "day" ? 0.8 : -0.5, azimuth: 3.6 };
  const degrees = sun.elevation / RAD;
  const level = Math.round(Math.min(24, Math.max(-16, degrees)));
  const turn = degrees < -6 ? 0 : Math.round((sun.azimuth / (2 * Math.PI)) * STEPS_A_TURN);
  const azimuth = degrees < -6 ? Math.PI : (turn / STEPS_A_TURN) * 2 * Math.PI;
  let upper = GRADE.findIndex((row) => row[0] >= level);
  if (upper < 0) upper = GRADE.length - 1;
  const high = GRADE[upper] ?? GRADE[0];
  const low = GRADE[Math.max(0, upper - 1)] ?? high;
  if (high === undefined || low === undefined) throw new Error("an empty grade");
  const t = high[0] === low[0] ? 1 : Math.min(1, Math.max(0, (level - low[0]) / (high[0] - low[0])));
  const mix = (i: 1 | 2 | 3 | 4): number => low[i] + (high[i] - low[i]) * t;
  const reach = level > 0 ? Math.min(2.2, 1 / Math.tan(Math.max(0.2, sun.elevation))) : 0.5;
  return {
    key: (level + 20) * 64 + turn,
    tint: [Math.round(mix(1)), Math.round(mix(2)), Math.round(mix(3))],
    glow: mix(4),
    shadowEast: -Math.sin(azimuth) * reach,
    shadowNorth: -Math.cos(azimuth) * reach,
    shadow: level > 0 ? 0.24 : 0.14,
  };
}
