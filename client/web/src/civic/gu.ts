/**
 * In which gu of Seoul a place on the map lies: the rule of p2pworld/seoul/gu.py, on the outlines that `/api/v1/city`
 * tells. A point of the form's format `point` is `latitude,longitude` (WGS 84); a gu is named as its office's stream is
 * (`jongno`). Points on a border fall to one side only, the same as for the node.
 */

/** The gu that a point of a form lies in, or null outside Seoul. */
export type GuOf = (point: string) => string | null;

interface Outline {
  readonly gu: string;
  /** Each edge in centimetres: east and north of its lower end, and of its upper one. */
  readonly edges: readonly (readonly [number, number, number, number])[];
}

/** Reads the answer of `/api/v1/city`; throws TypeError if it is none. */
export function readGu(city: unknown): GuOf {
  const told = (city as { gu?: unknown } | null)?.gu;
  if (!Array.isArray(told)) throw new TypeError("this does not tell the city's gu");
  const outlines = told.map(readOutline);
  return (point) => {
    const [latitude, longitude] = point.split(",").map(Number);
    const [east, north] = project(latitude as number, longitude as number);
    const eastCm = Math.round((east - ROOT_EAST_M) * 100);
    const northCm = Math.round((north - ROOT_NORTH_M) * 100);
    return outlines.find((outline) => holds(outline, eastCm, northCm))?.gu ?? null;
  };
}

function readOutline(value: unknown): Outline {
  const { name, outline } = value as { name: { en: string }; outline: readonly number[] };
  const points: [number, number][] = [];
  for (let i = 0; i + 1 < outline.length; i += 2)
    points.push([Math.round((outline[i] as number) * 100), Math.round((outline[i + 1] as number) * 100)]);
  const edges = points.map(([east, north], i): [number, number, number, number] => {
    const [nextEast, nextNorth] = points[(i + 1) % points.length] as [number, number];
    return north < nextNorth || (north === nextNorth && east < nextEast)
      ? [east, north, nextEast, nextNorth]
      : [nextEast, nextNorth, east, north];
  });
  return { gu: name.en.replace(/-gu$/, "").toLowerCase(), edges };
}

/** Whether an odd number of edges is crossed on the way west: an edge holds its lower end and not its upper one. */
function holds({ edges }: Outline, east: number, north: number): boolean {
  let inside = false;
  for (const [e1, n1, e2, n2] of edges)
    if (n1 <= north && north < n2 && (east - e1) * (n2 - n1) >= (e2 - e1) * (north - n1)) inside = !inside;
  return inside;
}

// ---- EPSG:5179: a transverse Mercator projection of the GRS 80 ellipsoid

const ROOT_EAST_M = 920_000;
const ROOT_NORTH_M = 1_920_000;
const FALSE_EAST_M = 1_000_000;
const FALSE_NORTH_M = 2_000_000;
const SCALE = 0.9996;
const RADIUS_M = 6_378_137;
const FLATTENING = 1 / 298.257222101;
const MIDDLE_RAD = radians(127.5);
const ORIGIN_RAD = radians(38);

// Krüger's series in the third flattening, to its fourth power: below a millimetre here
const N = FLATTENING / (2 - FLATTENING);
const MERIDIAN_M = (RADIUS_M / (1 + N)) * (1 + N ** 2 / 4 + N ** 4 / 64);
const SERIES = [
  N / 2 - (2 / 3) * N ** 2 + (5 / 16) * N ** 3 + (41 / 180) * N ** 4,
  (13 / 48) * N ** 2 - (3 / 5) * N ** 3 + (557 / 1440) * N ** 4,
  (61 / 240) * N ** 3 - (103 / 140) * N ** 4,
  (49561 / 161280) * N ** 4,
];
const ECCENTRICITY = Math.sqrt(FLATTENING * (2 - FLATTENING));
const ORIGIN_M = northOf(conformal(ORIGIN_RAD), 0);

function radians(degrees: number): number {
  return (degrees * Math.PI) / 180;
}

/** The tangent of the conformal latitude. */
function conformal(latitude: number): number {
  const sine = Math.sin(latitude);
  return Math.sinh(Math.atanh(sine) - ECCENTRICITY * Math.atanh(ECCENTRICITY * sine));
}

function northOf(tangent: number, eta: number): number {
  const xi = Math.atan(tangent);
  return SERIES.reduce(
    (sum, term, j) => sum + term * Math.sin(2 * (j + 1) * xi) * Math.cosh(2 * (j + 1) * eta),
    xi,
  );
}

/** East and north in metres of a latitude and longitude in degrees. */
function project(latitude: number, longitude: number): [number, number] {
  const tangent = conformal(radians(latitude));
  const away = radians(longitude) - MIDDLE_RAD;
  const xi = Math.atan2(tangent, Math.cos(away));
  const eta = Math.asinh(Math.sin(away) / Math.hypot(tangent, Math.cos(away)));
  let north = xi;
  let east = eta;
  SERIES.forEach((term, j) => {
    const k = 2 * (j + 1);
    north += term * Math.sin(k * xi) * Math.cosh(k * eta);
    east += term * Math.cos(k * xi) * Math.sinh(k * eta);
  });
  const factor = SCALE * MERIDIAN_M;
  return [FALSE_EAST_M + factor * east, FALSE_NORTH_M + factor * (north - ORIGIN_M)];
}
