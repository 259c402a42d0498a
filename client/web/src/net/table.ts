/**
 * The client's whole protocol as one table: for every state and event what is done and where it leads. The same table
 * as the Python client's (a test compares them).
 *
 * A client has at most two sockets: the *main* one it joins or plays on, and during a handoff the *held* one, on which
 * it sits at another node and waits for the commit. It leaves the old node only when the new one has welcomed it.
 */

export type At = "OUT" | "JOINING" | "PLAYING" | "BOTH" | "HELD" | "STOPPED";
export type On =
  | "LOG_IN"
  | "WELCOME"
  | "MOVED"
  | "MAIN_LOST"
  | "HELD_LOST"
  | "TIMER"
  | "ELSEWHERE"
  | "GESTURE";
export type What = "OPEN_MAIN" | "OPEN_HELD" | "CLOSE_MAIN" | "CLOSE_HELD" | "PROMOTE";

export interface Rule {
  readonly to: At;
  readonly acts: readonly What[];
}

/** An event that a state does not list means nothing there: it is about a socket or a timer already given up. */
const SAID: { readonly [K in At]: { readonly [E in On]?: readonly [At, ...What[]] } } = {
  // no socket at all; after a pause it is time to log in
  OUT: { LOG_IN: ["JOINING", "OPEN_MAIN"] },
  // a fresh login has been asked for
  JOINING: {
    WELCOME: ["PLAYING"],
    MAIN_LOST: ["OUT", "CLOSE_MAIN"],
    TIMER: ["OUT", "CLOSE_MAIN"],
    ELSEWHERE: ["STOPPED", "CLOSE_MAIN"],
  },
  // one node owns the avatar and this socket steers it
  PLAYING: {
    MOVED: ["BOTH", "OPEN_HELD"],
    MAIN_LOST: ["OUT", "CLOSE_MAIN"],
    ELSEWHERE: ["STOPPED", "CLOSE_MAIN"],
  },
  // the same, and a seat at another node is being taken
  BOTH: {
    WELCOME: ["PLAYING", "CLOSE_MAIN", "PROMOTE"],
    MOVED: ["BOTH", "CLOSE_HELD", "OPEN_HELD"],
    MAIN_LOST: ["HELD", "CLOSE_MAIN"],
    HELD_LOST: ["PLAYING", "CLOSE_HELD"],
    ELSEWHERE: ["STOPPED", "CLOSE_MAIN", "CLOSE_HELD"],
  },
  // the old socket is gone; the seat may yet be committed
  HELD: {
    WELCOME: ["PLAYING", "PROMOTE"],
    HELD_LOST: ["OUT", "CLOSE_HELD"],
    TIMER: ["OUT", "CLOSE_HELD"],
    ELSEWHERE: ["STOPPED", "CLOSE_HELD"],
  },
  // the person is in the city elsewhere; only the person brings it back here
  STOPPED: { GESTURE: ["OUT"] },
};

export function rule(at: At, on: On): Rule {
  const [to, ...acts] = SAID[at][on] ?? [at];
  return { to: to as At, acts: acts as What[] };
}

export const NO_CONN = -1;

/** Where the client stands and the names of its sockets, which whoever opens them chooses and never reuses. */
export interface Sockets {
  readonly at: At;
  readonly main: number;
  readonly held: number;
}

export type Step =
  /** It is time to log in, on a new socket `conn`. */
  | { readonly on: "LOG_IN"; readonly conn: number }
  /** WELCOME on `conn`. */
  | { readonly on: "WELCOME"; readonly conn: number }
  /** MOVED on `conn`; `held` is a new socket's name. */
  | { readonly on: "MOVED"; readonly conn: number; readonly held: number }
  /** `conn` was closed, or said goodbye for any reason but a newer login, or is silent beyond hope. */
  | { readonly on: "LOST"; readonly conn: number }
  /** BYE `elsewhere` on `conn`: a newer login of this person, made by another device. */
  | { readonly on: "ELSEWHERE"; readonly conn: number }
  /** The client stood in its state for as long as it may. */
  | { readonly on: "TIMER" }
  /** The person wants to be in the city on this device. */
  | { readonly on: "GESTURE" };

export interface Do {
  readonly what: Exclude<What, "PROMOTE">;
  readonly conn: number;
}

export const START: Sockets = { at: "OUT", main: NO_CONN, held: NO_CONN };

/** The client after `event`, and what must be done, in order. Events of sockets given up change nothing. */
export function step(sockets: Sockets, event: Step): readonly [Sockets, readonly Do[]] {
  const on = column(sockets, event);
  if (on === null) return [sockets, []];
  const { to, acts } = rule(sockets.at, on);
  let { main, held } = sockets;
  const done: Do[] = [];
  for (const what of acts) {
    switch (what) {
      case "OPEN_MAIN":
        main = event.on === "LOG_IN" ? event.conn : NO_CONN;
        done.push({ what, conn: main });
        break;
      case "OPEN_HELD":
        held = event.on === "MOVED" ? event.held : NO_CONN;
        done.push({ what, conn: held });
        break;
      case "CLOSE_MAIN":
        if (main !== NO_CONN) done.push({ what, conn: main });
        main = NO_CONN;
        break;
      case "CLOSE_HELD":
        if (held !== NO_CONN) done.push({ what, conn: held });
        held = NO_CONN;
        break;
      case "PROMOTE":
        main = held;
        held = NO_CONN;
    }
  }
  return [{ at: to, main, held }, done];
}

/** Which column of the table an event is. */
function column(sockets: Sockets, event: Step): On | null {
  switch (event.on) {
    case "WELCOME":
      return event.conn === (sockets.at === "JOINING" ? sockets.main : sockets.held) ? "WELCOME" : null;
    case "MOVED":
      return event.conn === sockets.main ? "MOVED" : null;
    case "LOST":
      if (event.conn === sockets.main) return "MAIN_LOST";
      return event.conn === sockets.held ? "HELD_LOST" : null;
    case "ELSEWHERE":
      return event.conn === sockets.main || event.conn === sockets.held ? "ELSEWHERE" : null;
    default:
      return event.on;
  }
}
