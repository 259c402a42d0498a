"""A wallet on the command line: what a browser exports it takes, and the other way; its devices, words and files."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from client.wallet import WALLET_BYTES_MAX, Wallet, open_text, seal_text
from p2pworld.crypto.keys import Signer
from p2pworld.errors import LocalError
from p2pworld.services.identity import parse_device, parse_lost, words_of
from p2pworld.services.people import sign_claim
from shard_node.cli import main
from shard_node.errors import ConfigError

HERE = Path(__file__).parent
[VECTOR] = json.loads((HERE.parent / "vectors" / "wallet.json").read_text("utf-8"))
FROM_A_BROWSER = (HERE / "exported_by_a_browser.p2pworld").read_text("ascii")
PASSPHRASE = VECTOR["passphrase"]
MINUTE = 29_400_000


def call(folder: Path, *words: object, code: int = 0, typed: str = "") -> str:
    """What `p2pworld people` prints, for the wallet in this folder."""
    group = 2 if words[0] in ("device", "claim") else 1
    said = [*words[:group], "--folder", folder, *words[group:]]
    result = CliRunner().invoke(main, ["people", *map(str, said)], input=typed)
    assert result.exit_code == code, result.output
    return result.output


# ---- a text and a passphrase


@settings(max_examples=20)
@given(st.text(), st.text(), st.binary(min_size=32, max_size=32))
def test_a_text_is_opened_by_its_passphrase_and_no_other(text: str, passphrase: str, salt: bytes) -> None:
    text = text.encode("utf-8", "replace").decode()
    passphrase = passphrase.encode("utf-8", "replace").decode()
    sealed = seal_text(text, passphrase, salt, 4)
    assert open_text(sealed, passphrase) == text
    with pytest.raises(LocalError, match="passphrase"):
        open_text(sealed, passphrase + "x")


def test_a_passphrase_is_the_same_however_its_letters_are_composed() -> None:
    assert open_text(VECTOR["exported"], "정말 긴 암호") == open_text(
        VECTOR["exported"], "\u110c\u1165\u11bc\u1106\u1161\u11af 긴 암호"
    )


@pytest.mark.parametrize(
    ("altered", "sentence"),
    [
        (lambda text: "", "no exported wallet"),
        (lambda text: text.replace("v1", "v2"), "no exported wallet"),
        (lambda text: text.replace("scrypt 4", "scrypt 30"), "2\\^30"),
        (lambda text: text.replace("scrypt 4", "scrypt 0"), "2\\^0"),
        (lambda text: text.replace("scrypt 4", "bcrypt 4"), "no exported wallet"),
        (lambda text: text[:-9] + "!!!!\n", "no exported wallet"),
        (lambda text: text[:-9] + "AAAA\n", "changed the file"),
    ],
)
def test_what_is_no_exported_wallet_is_said(altered: Any, sentence: str) -> None:
    with pytest.raises(LocalError, match=sentence):
        open_text(altered(VECTOR["exported"]), PASSPHRASE)


# ---- what a browser has exported


@pytest.mark.parametrize("exported", [VECTOR["exported"], FROM_A_BROWSER], ids=["ours", "a browser's"])
def test_what_was_exported_is_taken_once(tmp_path: Path, exported: str) -> None:
    wallet, added = Wallet(tmp_path, os.urandom(32)).took(exported, PASSPHRASE, "여기", MINUTE)
    assert added == 1
    assert wallet.entropy == bytes.fromhex(VECTOR["entropy"])
    assert wallet.root == bytes.fromhex(VECTOR["root"])
    assert parse_device(wallet.line).device == wallet.device.public
    [request] = wallet.requests
    assert (request["id"], request["standing"], request["entry"]) == (VECTOR["request"], "accepted", 7)
    assert isinstance(request["secrets"]["blobKey"], bytes)
    again, added = wallet.took(exported, PASSPHRASE, "여기", MINUTE)
    assert (added, again) == (0, wallet)
    wallet.save()
    assert Wallet.at(tmp_path) == wallet


def test_what_is_kept_of_a_browser_s_wallet_goes_on_as_it_was(tmp_path: Path) -> None:
    wallet, _ = Wallet(tmp_path, os.urandom(32)).took(FROM_A_BROWSER, PASSPHRASE, "", MINUTE)
    theirs = json.loads(open_text(FROM_A_BROWSER, PASSPHRASE))
    ours = json.loads(open_text(wallet.exported(PASSPHRASE, bytes(32)), PASSPHRASE))
    assert ours["requests"] == theirs["requests"]
    assert ours["drafts"] == theirs["drafts"]
    assert ours["lost"] == theirs["lost"]
    assert set(theirs["devices"]) < set(ours["devices"])
    assert set(ours) == set(theirs)


def test_nothing_of_the_device_is_exported(tmp_path: Path) -> None:
    wallet = Wallet.new(tmp_path, os.urandom(16), "phone", MINUTE)
    plain = open_text(wallet.exported(PASSPHRASE, bytes(32)), PASSPHRASE)
    assert wallet.seed.hex() not in plain


# ---- a folder


def test_a_folder_has_one_wallet_for_its_owner_s_eyes(tmp_path: Path) -> None:
    wallet = Wallet.new(tmp_path / "people", os.urandom(16), "phone", MINUTE)
    assert Wallet.at(tmp_path / "people") == wallet
    assert stat.S_IMODE((tmp_path / "people" / "wallet.json").stat().st_mode) == 0o600
    with pytest.raises(ConfigError, match="already"):
        Wallet.new(tmp_path / "people", None, "", MINUTE)
    with pytest.raises(ConfigError, match="no wallet"):
        Wallet.at(tmp_path)
    for broken in ("{", "[]", '{"x": 1}', "x" * WALLET_BYTES_MAX):
        (tmp_path / "people" / "wallet.json").write_text(broken)
        with pytest.raises(ConfigError, match="cannot be read"):
            Wallet.at(tmp_path / "people")


def test_a_claim_is_kept_by_what_it_is_for(tmp_path: Path) -> None:
    wallet = Wallet.new(tmp_path, os.urandom(16), "", MINUTE)
    attestor = Signer.from_seed(bytes(32))
    for purpose in ("booking", "draw/mapo-nanjicheon-pitch/2026-05-02T08:00", "booking"):
        wallet.keep_claim(sign_claim(attestor, purpose, bytes(32), bytes(32), "", MINUTE))
    assert [claim.purpose for claim in wallet.claims()] == [
        "booking",
        "draw/mapo-nanjicheon-pitch/2026-05-02T08:00",
    ]


# ---- commands


def test_nine_words_bring_the_root_to_another_folder(tmp_path: Path) -> None:
    words = call(tmp_path / "a", "new", "--label", "노트북").splitlines()[0]
    call(tmp_path / "b", "recover", "--label", "전화기", typed=f"{words.upper()}\n")
    one, other = (Wallet.at(tmp_path / name) for name in "ab")
    assert one.root == other.root
    assert one.device.public != other.device.public
    assert one.entropy is not None
    assert words_of(one.entropy) == words
    assert "여기" not in call(tmp_path / "a", "show")
    assert words in call(tmp_path / "a", "show", "--words")
    said = call(tmp_path / "b", "recover", "--words", words.replace(words[0], "q", 1), code=2)
    assert "word 1" in said.lower()


def test_a_device_without_the_root_is_added_and_revoked(tmp_path: Path) -> None:
    call(tmp_path / "a", "new")
    call(tmp_path / "b", "new", "--without-root")
    key = Wallet.at(tmp_path / "b").device.public.hex()
    line = call(tmp_path / "a", "device", "add", key, "--label", "b").strip()
    call(tmp_path / "b", "device", "accept", line)
    one, other = (Wallet.at(tmp_path / name) for name in "ab")
    assert one.root == other.root
    assert other.entropy is None
    assert "no words" in call(tmp_path / "b", "show", "--words", code=2)
    assert "not on this device" in call(tmp_path / "b", "device", "revoke", key, code=2)
    assert "another device" in call(tmp_path / "a", "device", "accept", line, code=2)
    assert "no device's key" in call(tmp_path / "a", "device", "add", "ab", code=2)
    lost = parse_lost(call(tmp_path / "a", "device", "revoke", key).strip())
    assert (lost.device.hex(), lost.root) == (key, one.root)
    assert f"lost  {key}" in call(tmp_path / "a", "show")


def test_the_root_can_be_forgotten(tmp_path: Path) -> None:
    call(tmp_path, "new")
    root = Wallet.at(tmp_path).root
    call(tmp_path, "forget-root")
    wallet = Wallet.at(tmp_path)
    assert (wallet.entropy, wallet.root) == (None, root)


def test_export_and_import_by_commands(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("a long passphrase\n")
    (tmp_path / "short").write_text("short\n")
    call(tmp_path / "a", "new")
    file = tmp_path / "me.p2pworld"
    assert "at least 10" in call(
        tmp_path / "a", "export", "--passphrase-file", tmp_path / "short", file, code=2
    )
    call(tmp_path / "a", "export", "--passphrase-file", tmp_path / "secret", file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "already" in call(tmp_path / "a", "export", "--passphrase-file", tmp_path / "secret", file, code=2)
    wrong = call(tmp_path / "b", "import", "--passphrase-file", tmp_path / "short", file, code=2)
    assert "passphrase" in wrong
    assert not (tmp_path / "b").exists()
    said = call(tmp_path / "b", "import", file, typed="a long passphrase\n")
    assert "2 devices are known" in said
    assert Wallet.at(tmp_path / "a").root == Wallet.at(tmp_path / "b").root
