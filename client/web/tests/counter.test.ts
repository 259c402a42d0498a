/** The counter as its numbers tell it: the queue's order, one's own number, and numbers of another counter. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { queueAt } from "../src/state/counter";
import type { WorldObject } from "../src/state/world";

const AT = { east: 100, north: 100 };

function ticket(count: number, by: number, text = "", atMs = count, east = 101): WorldObject {
  const id = new Uint8Array(16).fill(count);
  return { key: `${count}`, id, kind: "ticket", east, north: 100, text, by, count, atMs, pending: false };
}

test("numbers wait in their order, and those called stand with the latest first", () => {
  const all = [ticket(3, 30), ticket(1, 10, "90", 50), ticket(4, 40), ticket(2, 20, "91", 60)];
  const queue = queueAt(all, AT, 40);
  assert.deepEqual(
    queue.waiting.map((one) => one.number),
    [3, 4],
  );
  assert.deepEqual(
    queue.called.map((one) => [one.number, one.calledBy]),
    [
      [2, 91],
      [1, 90],
    ],
  );
  assert.equal(queue.mine?.number, 4);
  assert.equal(queue.before, 1);
});

test("who was called and drew again waits with the new number", () => {
  const queue = queueAt([ticket(1, 10, "90"), ticket(5, 10)], AT, 10);
  assert.equal(queue.mine?.number, 5);
  assert.equal(queueAt([ticket(1, 10, "90")], AT, 10).mine?.calledBy, 90);
  assert.equal(queueAt([ticket(1, 10)], AT, 11).mine, null);
});

test("other things, other counters and words for an avatar do not count", () => {
  const lantern = { ...ticket(1, 10), kind: "lantern" };
  const far = ticket(2, 10, "", 2, 500);
  assert.deepEqual(queueAt([lantern, far], AT, 10).waiting, []);
  assert.equal(queueAt([ticket(3, 10, "nobody")], AT, 10).waiting.length, 1);
});
