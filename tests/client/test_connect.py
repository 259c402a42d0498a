"""One client over real sockets, plain and TLS, against a door: the least that answers like a node."""

from __future__ import annotations

import datetime
import ipaddress
import itertools
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from client.connect import connect
from client.session import ClientAt
from p2pworld.crypto.keys import NodeKeys, PersonKeys, login_of, sign_challenge, verify_hello
from p2pworld.ids import avatar_id
from p2pworld.messages import (
    Act,
    Bye,
    Challenge,
    Done,
    Hello,
    Objects,
    Pose,
    Profile,
    SignedHello,
    Welcome,
    WorldObject,
)
from p2pworld.wire.codec import decode_play, encode_play
from p2pworld.wire.frames import POSE, decode_pose, encode_density, encode_poses
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from p2pworld.messages import PlayMessage

ANNA = PersonKeys.from_seed(bytes([3]) * 32)
HERE = Pose(1_000_000, 2_000_000)
WISH = WorldObject(b"o" * 16, "lantern", 1_000_000, 2_000_000, "wish")


class Guest:
    """One socket at the door, as the door sees it."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.protocol = ServerProtocol(subprotocols=[Subprotocol("p2pworld.v1")])
        self.speaking = trio.Lock()

    async def send(self, *messages: PlayMessage | bytes) -> None:
        for message in messages:
            self.protocol.send_binary(message if isinstance(message, bytes) else encode_play(message))
        await self.flush()

    async def flush(self) -> None:
        async with self.speaking:
            for data in self.protocol.data_to_send():
                if data:
                    await self.stream.send_all(data)


class Door:
    """A listener that welcomes everybody, answers acts, and keeps what poses say."""

    def __init__(self) -> None:
        self.keys = NodeKeys.from_seed(bytes([9]) * 32)
        self.url = ""
        self.nonces = itertools.count(1)
        self.guests: list[Guest] = []
        self.hellos: list[Hello] = []
        self.poses: list[tuple[int, int, int]] = []
        self.greeting: Callable[[], tuple[PlayMessage | bytes, ...]] = tuple

    async def serve(self, stream: trio.abc.Stream) -> None:
        guest = Guest(stream)
        nonce = next(self.nonces).to_bytes(32, "big")
        try:
            while data := await stream.receive_some():
                guest.protocol.receive_data(data)
                for event in guest.protocol.events_received():
                    if isinstance(event, Request):
                        guest.protocol.send_response(guest.protocol.accept(event))
                        self.guests.append(guest)
                        sig = sign_challenge(self.keys, nonce, self.url)
                        await guest.send(Challenge(1, self.keys.public, nonce, self.url, sig))
                    elif isinstance(event, Frame) and event.opcode is Opcode.BINARY:
                        await self.said(guest, nonce, bytes(event.data))
                await guest.flush()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client was faster
        finally:
            await trio.aclose_forcefully(stream)

    async def said(self, guest: Guest, nonce: bytes, data: bytes) -> None:
        if data[0] == POSE:
            pose = decode_pose(data)[0]
            self.poses.append((int(pose["seq"]), int(pose["east_cm"]), int(pose["north_cm"])))
            return
        message = decode_play(data)
        if isinstance(message, Hello):
            signed = SignedHello(self.keys.public, nonce, message)
            assert verify_hello(signed)
            self.hellos.append(message)
            login = login_of(signed)
            pose = message.want or Pose(0, 0)
            me = avatar_id(message.key)
            await guest.send(
                Welcome(me, login.ms, login.birth, pose, 0, 20, 0, 1, 1),
                encode_poses(0, 640, [me], [pose.east_cm], [pose.north_cm], [0], [0], [0]),
                *self.greeting(),
            )
        elif isinstance(message, Act):
            await guest.send(Done(message.n, durable="standby", id=WISH.id), Objects(1, (WISH,)))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate and its key for 127.0.0.1, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "door")])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day)
        .add_extension(here, False)
        .sign(key, hashes.SHA256())
    )
    path: Path = tmp_path_factory.mktemp("door") / "door.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@asynccontextmanager
async def door(certificate: Path | None = None) -> AsyncIterator[Door]:
    """A door that is open; the test fails rather than hangs."""
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            on = Door()
            (tcp,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            port = tcp.socket.getsockname()[1]
            listener: trio.abc.Listener[trio.abc.Stream] = tcp
            if certificate is not None:
                context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
                context.load_cert_chain(certificate)
                listener = trio.SSLListener(tcp, context)
            on.url = f"{'ws' if certificate is None else 'wss'}://127.0.0.1:{port}/play"
            nursery.start_soon(trio.serve_listeners, on.serve, [listener])
            yield on
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("secure", [False, True])
async def test_a_client_enters_walks_acts_and_sees(secure: bool, certificate: Path) -> None:
    trust = ssl.create_default_context(cafile=str(certificate))
    async with (
        door(certificate if secure else None) as on,
        connect([on.url], ANNA, Profile("Anna"), HERE, trust) as anna,
    ):
        on.greeting = lambda: (encode_density(11, 640, [5], [3]), b"\x10 a kind of later days")
        await anna.enter()
        await anna.until(lambda: 11 in anna.view.crowds)
        assert anna.view.people[anna.session.id].pose == HERE
        done = await anna.act("hang", "wish")
        assert done.durable == "standby"
        await anna.until(lambda: anna.view.find(done.id) == WISH)
        await anna.walk_to(HERE.east_cm + 100, HERE.north_cm, 5.0)
        while not on.poses or on.poses[-1][1] != HERE.east_cm + 100:
            await trio.lowlevel.checkpoint()
        seqs = [seq for seq, _, _ in on.poses]
        assert seqs == list(range(1, len(seqs) + 1))
        ways = [b[1] - a[1] for a, b in itertools.pairwise(on.poses)]
        assert all(9 <= way <= 11 for way in ways[:-1])  # 5 m/s at a tick of 20 ms


async def test_a_node_with_a_false_certificate_is_not_entered(certificate: Path) -> None:
    async with door(certificate) as on, connect([on.url], ANNA, Profile("Anna"), HERE) as anna:
        anna.session.gesture(trio.current_time())
        await anna.until(lambda: anna.session.trouble[0] == "socket")
        assert "certificate" in anna.session.trouble[1].lower()
        assert on.hellos == []


async def test_a_lost_socket_is_followed_by_a_larger_login() -> None:
    async with door() as on, connect([on.url], ANNA, Profile("Anna"), HERE) as anna:
        await anna.enter()
        await trio.aclose_forcefully(on.guests[0].stream)
        await anna.until(lambda: anna.session.counters["logins"] == 2)
        first, second = on.hellos
        assert second.login_ms > first.login_ms == second.after_ms


async def test_a_malformed_message_ends_its_connection_and_is_said() -> None:
    async with door() as on, connect([on.url], ANNA, Profile("Anna"), HERE) as anna:
        greetings = iter([(b"\x42not a welcome",)])
        on.greeting = lambda: next(greetings, ())
        anna.session.gesture(trio.current_time())
        await anna.until(lambda: anna.session.trouble[0] == "malformed")
        await anna.until(lambda: anna.session.counters["logins"] == 2 and anna.session.playing)


async def test_who_was_told_elsewhere_stays_out_until_it_enters_again() -> None:
    async with door() as on, connect([on.url], ANNA, Profile("Anna"), HERE) as anna:
        await anna.enter()
        newer = anna.session.login.ms + 5_000
        await on.guests[0].send(Bye("elsewhere", "Another tab.", newer, b"n" * 16))
        await anna.until(lambda: anna.session.at is ClientAt.STOPPED)
        assert anna.session.trouble == ("elsewhere", "Another tab.")
        await anna.enter()
        assert on.hellos[-1].login_ms == newer + 1


async def test_a_door_that_is_shut_is_knocked_at_until_it_opens() -> None:
    async with door() as on:
        with trio.socket.socket() as nobody:
            await nobody.bind(("127.0.0.1", 0))
            shut = f"ws://127.0.0.1:{nobody.getsockname()[1]}/play"
            async with connect([shut, on.url], ANNA, Profile("Anna"), HERE) as anna:
                await anna.enter()
                assert anna.session.node == on.keys.public
