/** The table of the client, the same as the Python client's. */

import assert from "node:assert/strict";
import { test } from "node:test";
import client from "../../../tests/vectors/client.json";
import { type At, NO_CONN, type On, rule, START, step } from "../src/net/table";

test("every state and event leads where the Python client's does", () => {
  assert.equal(client.length, 48);
  for (const { name, at, on, to, acts } of client)
    assert.deepEqual(rule(at as At, on as On), { to, acts }, name);
});

test("a handoff: the new socket becomes the main one when it welcomes, and only then", () => {
  let [sockets, done] = step(START, { on: "LOG_IN", conn: 1 });
  assert.deepEqual(done, [{ what: "OPEN_MAIN", conn: 1 }]);
  [sockets] = step(sockets, { on: "WELCOME", conn: 1 });
  [sockets, done] = step(sockets, { on: "MOVED", conn: 1, held: 2 });
  assert.deepEqual(done, [{ what: "OPEN_HELD", conn: 2 }]);
  const [same, nothing] = step(sockets, { on: "WELCOME", conn: 1 });
  assert.deepEqual([same, nothing], [sockets, []], "a second welcome on the main socket says nothing");
  [sockets, done] = step(sockets, { on: "WELCOME", conn: 2 });
  assert.deepEqual(sockets, { at: "PLAYING", main: 2, held: NO_CONN });
  assert.deepEqual(done, [{ what: "CLOSE_MAIN", conn: 1 }]);
  assert.deepEqual(step(sockets, { on: "LOST", conn: 1 })[0], sockets, "the old one's end says nothing");
});
