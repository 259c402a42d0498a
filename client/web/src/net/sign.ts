/** The exact bytes that are signed, and the messages around them: CHALLENGE, HELLO, SAY. */

import { join } from "./bytes";
import { type Signer, sha256, verify } from "./keys";
import {
  type Challenge,
  encodeMessage,
  Kind,
  type Pose,
  PROTOCOL,
  type Profile,
  poseFields,
  profileFields,
} from "./messages";
import { canonical, type Fields } from "./msgpack";

const TO_BYTES = new TextEncoder();

export interface Login {
  readonly ms: number;
  readonly birth: Uint8Array;
}

/** Whether the node of this challenge made it. */
export function verifyChallenge(challenge: Challenge): Promise<boolean> {
  const { node, nonce, url, sig } = challenge;
  return verify(node, join(TO_BYTES.encode("p2pworld challenge v1\n"), nonce, TO_BYTES.encode(url)), sig);
}

/** The birth of a login that is opened at this node with this nonce. */
export function birthOf(node: Uint8Array, nonce: Uint8Array): Uint8Array {
  return sha256(join(TO_BYTES.encode("p2pworld birth v1\n"), node, nonce)).slice(0, 16);
}

/** What a HELLO says beside version, key and signature; absent is at default. */
export interface HelloFields {
  readonly login_ms: number;
  readonly url: string;
  readonly profile: Profile;
  readonly birth?: Uint8Array;
  readonly after?: Login;
  readonly ticket?: Uint8Array;
  readonly want?: Pose | null;
}

/** The map that a HELLO's signature covers. */
export function helloMap(hello: HelloFields): Fields {
  return {
    login_ms: hello.login_ms,
    url: hello.url,
    profile: profileFields(hello.profile),
    birth: hello.birth,
    after_ms: hello.after?.ms || undefined,
    after_birth: hello.after?.birth,
    ticket: hello.ticket,
    want: hello.want ? poseFields(hello.want) : undefined,
  };
}

/** The bytes that a HELLO signs. */
export function helloInput(node: Uint8Array, nonce: Uint8Array, map: Fields): Uint8Array {
  return join(TO_BYTES.encode("p2pworld hello v1\n"), node, nonce, sha256(canonical(map)));
}

/** A signed HELLO, ready to be sent; `grants` go beside what is signed, for they prove themselves. */
export async function signHello(
  by: Signer,
  node: Uint8Array,
  nonce: Uint8Array,
  hello: HelloFields,
  grants: readonly Fields[] = [],
): Promise<Uint8Array> {
  const { login_ms, url, profile, ...rest } = helloMap(hello);
  const sig = await by.sign(helloInput(node, nonce, helloMap(hello)));
  const shown = grants.length > 0 ? grants : undefined;
  const { public: key } = by;
  return encodeMessage(Kind.HELLO, { v: PROTOCOL, key, login_ms, url, profile, sig, ...rest, grants: shown });
}

/** What is said, when, and to whom: all of a SAY but its number. */
export interface Speech {
  readonly channel: string;
  readonly text: string;
  readonly ms: number;
  readonly to?: Uint8Array;
  readonly avatar?: number;
}

/** The bytes that a SAY signs and SAID repeats. */
export function sayInput(speech: Speech): Uint8Array {
  const { channel, text, ms, to, avatar } = speech;
  return join(
    TO_BYTES.encode("p2pworld say v1\n"),
    canonical({ channel, text, ms, to: to?.length ? to : undefined, avatar: avatar || undefined }),
  );
}

/** A signed SAY, ready to be sent. */
export async function signSay(by: Signer, n: number, speech: Speech): Promise<Uint8Array> {
  const { channel, text, ms, to, avatar } = speech;
  const sig = await by.sign(sayInput(speech));
  return encodeMessage(Kind.SAY, {
    n,
    channel,
    text,
    ms,
    sig,
    to: to?.length ? to : undefined,
    avatar: avatar || undefined,
  });
}
