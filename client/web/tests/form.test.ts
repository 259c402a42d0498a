/** Forms are checked as the node checks them: the same values kept, the same reasons in the same sentences. */

import assert from "node:assert/strict";
import { test } from "node:test";
import forms from "../../../tests/vectors/form.json";
import gu from "../../../tests/vectors/gu.json";
import {
  check,
  dayInSeoul,
  isReadable,
  type Sentences,
  type Service,
  sentenceOf,
  split,
  streamOf,
  type Values,
} from "../src/civic/form";
import { readGu } from "../src/civic/gu";

interface Case {
  readonly values: Values;
  readonly kept: Values;
  readonly faults: readonly (readonly [string, string, string, string])[];
  readonly empty?: boolean;
}
interface Told {
  readonly name: string;
  readonly service: Service;
  readonly today: string;
  readonly good: Values;
  readonly capacities: Readonly<Record<string, number>>;
  readonly public: readonly (readonly [string, string])[];
  readonly sealed: readonly (readonly [string, string])[];
  readonly cases: readonly Case[];
}

const [sentences, ...services] = forms as unknown as [Pick<Sentences, "fields">, ...Told[]];
const words = { ...sentences } as Sentences;
const [city] = gu as unknown as [{ points: [string, string | null][] }];
const guOf = readGu(city);

function only(values: Values, names: Values): Record<string, unknown> {
  return Object.fromEntries(
    Object.keys(names).flatMap((name) => (Object.hasOwn(values, name) ? [[name, values[name]]] : [])),
  );
}

test("a point lies in the gu that the node says", () => {
  assert(city.points.length > 200);
  assert(city.points.some(([, where]) => where === null));
  for (const [point, where] of city.points) assert.equal(guOf(point), where, point);
});

test("whatever is filled in, the same of it is kept and the same is said, in both languages", () => {
  let count = 0;
  for (const { service, today, good, capacities, cases } of services)
    for (const { values, kept, faults, empty } of cases) {
      const found = check(
        service,
        empty ? {} : { ...good, ...values },
        today,
        guOf,
        (id) => capacities[id] ?? null,
      );
      const said = found.faults.map((fault) => [
        fault.field,
        fault.code,
        sentenceOf(fault, words, "ko"),
        sentenceOf(fault, words, "en"),
      ]);
      assert.deepEqual(said, faults, `${service.id} ${JSON.stringify(values)}`);
      assert.deepEqual(only(found.kept, values), kept, `${service.id} ${JSON.stringify(values)}`);
      count++;
    }
  assert(count > 400);
});

test("checked values are parted into what is public and what is sealed", () => {
  for (const { service, today, good, public: shown, sealed } of services) {
    const found = split(service, check(service, good, today, guOf, () => null).kept);
    const pairs = (fields: readonly { name: string; value: string }[]) =>
      fields.map(({ name, value }) => [name, value]);
    assert.deepEqual(pairs(found.public), shown);
    assert.deepEqual(pairs(found.private), sealed);
  }
});

test("a filing goes to the office that its place, gu or facility names", () => {
  const of = (name: string) => services.find((each) => each.name === name) as Told;
  const where = (told: Told) =>
    streamOf(told.service, told.good, guOf, (facility) => (facility ? "mapo" : null));
  assert.equal(where(of("fire-hazard-report")), guOf(String(of("fire-hazard-report").good.place)));
  assert.equal(where(of("local-tax-filing")), of("local-tax-filing").good.gu);
  assert.equal(where(of("reserve-camping")), "mapo");
  assert.equal(where(of("refusal-objection")), "city");
});

test("half a character is no text, and a day ends at midnight in Seoul", () => {
  assert.equal(isReadable("a\ud800b", false), false);
  assert.equal(isReadable("가\t나\n다", true), true);
  assert.equal(dayInSeoul(Date.UTC(2026, 0, 1, 14, 59)), "2026-01-01");
  assert.equal(dayInSeoul(Date.UTC(2026, 0, 1, 15)), "2026-01-02");
});
