"""`p2pworld verify`: each kind of thing good and spoiled, alone and together, and its exit codes and reasons."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from client.leaf_words import leaf_words
from client.policy import Policy, parse_policy, policy_of_keys
from p2pworld.civic.fork import Fork, parse_fork
from p2pworld.civic.transaction import Field
from p2pworld.errors import LocalError, RemoteError
from p2pworld.limits import POLICY_BYTES_MAX, VERIFY_EPOCHS_MAX, VERIFY_FILES_MAX
from p2pworld.merkle.checkpoint import Checkpoint, open_checkpoint
from p2pworld.merkle.note import Note
from p2pworld.merkle.proof import inclusion_spans, prove
from p2pworld.merkle.receipt import Receipt
from p2pworld.merkle.tiles import TileHashes
from p2pworld.merkle.tree import leaf_hash
from shard_node.cli import main
from tests.civic.log_world import submission
from tests.client.logs_on_disk import write_civic_log
from tests.merkle.signed import LOG, ORIGIN, WITNESS_KEYS, checkpoint, cosigned, flipped

if TYPE_CHECKING:
    from pathlib import Path

    from tests.civic.log_world import World

KEYS = ["--key", LOG.key.text, *(word for key in WITNESS_KEYS for word in ("--key", key.text))]
SIZE = 20


class Desk:
    """A folder with a log, and files made for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.world: World = write_civic_log(folder / "log", SIZE)

    def write(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(data)
        return path

    def receipt(self, number: int) -> Receipt:
        assert self.world.witnessed is not None
        index = self.world.accepted[submission(number).fingerprint]
        proof = prove(inclusion_spans(index, SIZE), TileHashes(SIZE, self.world.files))
        return Receipt(index, proof, self.world.witnessed)

    def receipt_file(self, number: int) -> Path:
        return self.write(f"{number}.tlog-proof", self.receipt(number).to_bytes())


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(tmp_path_factory.mktemp("desk"))


def ask(*words: object) -> tuple[int, list[dict[str, Any]]]:
    """The exit code and the findings of a call with `--json`."""
    result = CliRunner().invoke(main, ["verify", "--json", *map(str, words)])
    document = json.loads(result.stdout)
    assert document["ok"] == (result.exit_code == 0)
    return result.exit_code, document["findings"]


def reasons(finding: dict[str, Any]) -> list[str]:
    return [fault["reason"] for fault in finding["faults"]]


# ---- logs


def test_a_log_and_all_its_leaves_are_good(desk: Desk) -> None:
    code, [found] = ask(desk.folder / "log", *KEYS, "--quorum", 1, "--leaves")
    assert (code, found["status"], found["kind"]) == (0, "ok", "log")
    assert (found["facts"]["origin"], found["facts"]["size"]) == (ORIGIN, SIZE)
    assert list(found["facts"]["witnesses"]) == [WITNESS_KEYS[0].name]


def test_in_words_too(desk: Desk) -> None:
    result = CliRunner().invoke(main, ["verify", str(desk.folder / "log"), *KEYS])
    assert result.exit_code == 0
    assert "Every entry and every tile is what was signed." in result.stdout


def test_a_changed_byte_is_told_with_its_place(desk: Desk) -> None:
    path = desk.folder / "log/tile/entries/000.p/20"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes((whole[-1] ^ 1,)))
    code, [found] = ask(desk.folder / "log", *KEYS)
    words = CliRunner().invoke(main, ["verify", str(desk.folder / "log"), *KEYS])
    path.write_bytes(whole)
    assert code == words.exit_code == 1
    [fault] = found["faults"]
    assert (fault["reason"], fault["file"], fault["entry"]) == ("entry-hash", "tile/entries/000.p/20", 19)
    assert "entry-hash: tile/entries/000.p/20, entry 19, byte " in words.stdout


def test_a_changed_checkpoint_is_wrong(desk: Desk) -> None:
    path = desk.folder / "log/checkpoint"
    whole = path.read_bytes()
    for spoiled in list(flipped(whole))[::17]:
        path.write_bytes(spoiled)
        code, [found] = ask(desk.folder / "log", "--key", LOG.key.text, "--key", WITNESS_KEYS[0].text)
        if code == 0:  # the witness's line names a key that is nobody's
            assert found["facts"]["witnesses"] == {}
        else:
            assert (code, found["faults"][0]["file"]) == (1, "checkpoint")
    path.write_bytes(whole)


def test_a_leaf_that_nobody_signed_is_found_in_the_log(desk: Desk) -> None:
    from tests.client.logs_on_disk import write_log

    entries = [submission(number).leaf(1).to_bytes() for number in range(3)]
    other = replace(submission(3), sig=submission(4).sig)
    write_log(desk.folder / "unsigned", [*entries, other.leaf(1).to_bytes(), b"no leaf"], [5])
    assert ask(desk.folder / "unsigned", *KEYS)[0] == 0
    code, [found] = ask(desk.folder / "unsigned", *KEYS, "--leaves")
    assert code == 1
    assert next((fault["entry"], fault["reason"]) for fault in found["faults"]) == (3, "civic-signature")
    assert found["faults"][1]["entry"] == 4


def test_what_witnesses_signed_may_lie_beside_the_newest_checkpoint(desk: Desk) -> None:
    assert desk.world.witnessed is not None
    newest, beside = desk.folder / "log/checkpoint", desk.folder / "log/checkpoint.witnessed"
    whole, words = newest.read_bytes(), (desk.folder / "log", *KEYS, "--quorum", 1)
    newest.write_bytes(Note(desk.world.witnessed.text, desk.world.witnessed.signatures[:1]).to_bytes())
    assert reasons(ask(*words)[1][0]) == ["checkpoint-quorum"]
    size = min(size for size in desk.world.signed if size)
    for root, witnesses, expected in (
        (desk.world.signed[size], 1, []),
        (desk.world.signed[size], 0, ["checkpoint-quorum"]),
        (bytes(32), 1, ["log-fork"]),
    ):
        text = Checkpoint(ORIGIN, size, root).text
        beside.write_bytes(cosigned(Note(text, (LOG.sign(text),)), witnesses).to_bytes())
        code, [found] = ask(*words)
        assert (code, reasons(found)) == (1 if expected else 0, expected)
    beside.write_bytes(checkpoint(5, origin="seoul.example/mapo").to_bytes())
    code, [found] = ask(*words)
    assert (code, found["faults"][0]["file"]) == (1, "checkpoint.witnessed")
    beside.unlink()
    newest.write_bytes(whole)


# ---- receipts


def test_a_receipt_with_its_entry_from_leaf_submission_or_folder(desk: Desk) -> None:
    receipt = desk.receipt_file(7)
    leaf = desk.write("7.leaf", submission(7).leaf(1).to_bytes())
    filed = desk.write("7.submission", submission(7).to_bytes())
    for beside in (leaf, filed, desk.folder / "log"):
        code, [found, _] = ask(receipt, beside, *KEYS, "--quorum", 1)
        assert (code, found["status"], found["kind"]) == (0, "ok", "receipt")
        assert any("It is a suggestion for jongno" in sentence for sentence in found["sentences"])


def test_a_receipt_without_its_entry_is_not_judged(desk: Desk) -> None:
    code, [found] = ask(desk.receipt_file(7), *KEYS)
    assert (code, found["status"], found["faults"]) == (2, "unjudged", [])


def test_a_receipt_of_another_entry_or_spoiled_is_wrong(desk: Desk) -> None:
    leaf = desk.write("8.leaf", submission(8).leaf(1).to_bytes())
    code, [found, _] = ask(desk.receipt_file(7), leaf, *KEYS)
    assert (code, reasons(found)) == (1, ["proof-root"])
    good = desk.receipt(8).to_bytes()
    by_log = good[: good.index("— witness".encode())]
    for spoiled in list(flipped(good))[::23]:
        path = desk.write("spoiled", spoiled)
        code, _ = ask(path, leaf, "--key", LOG.key.text)
        assert code or spoiled.startswith(by_log)  # a line by a witness whose key was not given says nothing
    code, [found, _] = ask(desk.receipt_file(8), leaf, *KEYS, "--quorum", 2)
    assert (code, reasons(found)) == (1, ["checkpoint-quorum"])


def test_a_submission_does_not_say_in_which_epoch_it_was_taken(desk: Desk) -> None:
    filed = desk.write("9.submission", submission(9).to_bytes())
    for epoch, expected in ((VERIFY_EPOCHS_MAX - 1, 0), (VERIFY_EPOCHS_MAX, 1)):
        entry = submission(9).leaf(epoch).to_bytes()
        text = Checkpoint(ORIGIN, 1, leaf_hash(entry)).text
        receipt = Receipt(0, (), Note(text, (LOG.sign(text),)))
        path = desk.write("far.tlog-proof", receipt.to_bytes())
        assert ask(path, filed, "--key", LOG.key.text)[0] == expected


# ---- checkpoints and forks


def other_root(size: int) -> Note:
    text = Checkpoint(ORIGIN, size, bytes(32)).text
    return Note(text, (LOG.sign(text),))


def test_checkpoints_beside_their_folder(desk: Desk) -> None:
    edge_sizes = sorted(size for size in desk.world.signed if 0 < size < SIZE)
    size = edge_sizes[0]
    text = Checkpoint(ORIGIN, size, desk.world.signed[size]).text
    good = desk.write("earlier", Note(text, (LOG.sign(text),)).to_bytes())
    assert ask(good, *KEYS)[0] == 0
    assert ask(good, desk.folder / "log", *KEYS)[0] == 0
    bad = desk.write("forked", other_root(size).to_bytes())
    assert ask(bad, *KEYS)[0] == 0  # alone it is as good as the other
    code, findings = ask(bad, desk.folder / "log", *KEYS)
    assert (code, reasons(findings[0])) == (1, ["log-fork"])
    proof = desk.folder / "of other sizes"
    assert ask(bad, desk.folder / "log", *KEYS, "--fork", proof)[0] == 1
    code, [found] = ask(proof, "--key", LOG.key.text)  # and nobody needs the folder any more
    assert (code, found["kind"], reasons(found)) == (1, "fork", ["log-fork"])
    spoiled = parse_fork(proof.read_bytes())
    proof.write_bytes(replace(spoiled, proof=(bytes(32), *spoiled.proof[1:])).to_bytes())
    code, [found] = ask(proof, "--key", LOG.key.text)
    assert (code, reasons(found)) == (1, ["fork-proof"])
    later = desk.write("later", other_root(SIZE + 1).to_bytes())
    assert ask(later, desk.folder / "log", *KEYS)[0] == 2
    assert ask(later, good, *KEYS)[0] == 2


def test_two_that_differ_prove_a_fork_and_the_proof_is_written(desk: Desk) -> None:
    first, second = desk.write("one", checkpoint(5).to_bytes()), desk.write("two", other_root(5).to_bytes())
    proof = desk.folder / "fork"
    code, findings = ask(first, second, "--key", LOG.key.text, "--fork", proof)
    assert (code, reasons(findings[1])) == (1, ["log-fork"])
    fork = parse_fork(proof.read_bytes())
    assert fork == Fork(checkpoint(5).to_bytes(), other_root(5).to_bytes())
    code, [found] = ask(proof, "--key", LOG.key.text)
    assert (code, found["kind"], reasons(found)) == (1, "fork", ["log-fork"])
    sizes = desk.write("of two sizes", Fork(fork.first, checkpoint(6).to_bytes()).to_bytes())
    assert ask(sizes, "--key", LOG.key.text)[0] == 2  # without the entries it proves nothing
    same = desk.write("no fork", Fork(fork.first, fork.first).to_bytes())
    assert ask(same, "--key", LOG.key.text)[0] == 0
    for bad in (b"", proof.read_bytes()[:40], proof.read_bytes().replace(b"\n", b"\n9", 1)):
        path = desk.write("bad fork", bad)
        assert ask(path, "--key", LOG.key.text)[0] == 1


# ---- leaves


def test_a_leaf_in_words(desk: Desk) -> None:
    leaf = desk.write("one leaf", submission(3).leaf(1).to_bytes())
    code, [found] = ask(leaf)
    assert (code, found["kind"], found["facts"]["public"]) == (0, "leaf", {"topic": "parks"})
    assert found["sentences"] == [leaf_words(submission(3).filing)]
    altered = desk.write("altered", replace(submission(3), sig=bytes(64)).to_bytes())
    code, [found] = ask(altered)
    assert (code, found["kind"], reasons(found)) == (1, "submission", ["civic-signature"])


def test_words_hold_nothing_that_a_terminal_obeys() -> None:
    filing = replace(submission(3).filing, public=(Field("topic", "\x1b[2J\u202e\n" + "a" * 999),))
    words = leaf_words(filing)
    assert words.isprintable()
    assert len(words) < 600


# ---- use


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Missing argument"),
        (["/nowhere"], "does not exist"),
        (["FILE", "--key", "nonsense"], "this is no key"),
        (["FILE", "--key", WITNESS_KEYS[0].text], "no log's key"),
        (["FILE", "--key", LOG.key.text, "--quorum", "1"], "1 witnesses are asked for"),
        (["FILE", *KEYS, "--policy", "FILE"], "not both"),
        (["FILE", "--policy", "FILE"], "line 1"),
        (["EMPTY"], "cannot be read"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_2(tmp_path: Path, words: list[str], said: str) -> None:
    (tmp_path / "file").write_text("something\n")
    (tmp_path / "empty").mkdir()
    names = {"FILE": str(tmp_path / "file"), "EMPTY": str(tmp_path / "empty")}
    result = CliRunner().invoke(main, ["verify", *(names.get(word, word) for word in words)])
    assert (result.exit_code, said in result.output) == (2, True), result.output


def test_so_many_files_at_once_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "leaf"
    path.write_bytes(submission(1).leaf(1).to_bytes())
    result = CliRunner().invoke(main, ["verify", *[str(path)] * (VERIFY_FILES_MAX + 1)])
    assert (result.exit_code, "at most 4096" in result.output) == (2, True)


def test_what_nobody_gave_the_key_of_is_not_judged(desk: Desk) -> None:
    code, [found] = ask(desk.folder / "log")
    assert (code, found["missing"]) == (2, [f"the key of the log {ORIGIN}"])


# ---- policies

POLICY = f"""
# two newspapers, and the school
log {LOG.key.text} https://log.example/
witness paper {WITNESS_KEYS[0].text}
witness other {WITNESS_KEYS[1].text} https://paper.example/
witness school {WITNESS_KEYS[2].text}
group papers any paper other
group both all papers school
quorum both   # nothing less
"""


def meets(policy: Policy, witnesses: tuple[int, ...]) -> bool:
    note = checkpoint(5)
    full = cosigned(note, 3)
    kept = (full.signatures[0], *(full.signatures[1 + number] for number in witnesses))
    opened = open_checkpoint(Note(note.text, kept), ORIGIN, policy.logs[ORIGIN], policy.witnesses)
    try:
        policy.require_quorum(opened)
    except RemoteError as error:
        return error.reason != "checkpoint-quorum"
    return True


def test_groups_within_groups() -> None:
    policy = parse_policy(POLICY)
    met = {chosen for chosen in ((), (0,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)) if meets(policy, chosen)}
    assert met == {(0, 2), (1, 2), (0, 1, 2)}
    assert meets(parse_policy(POLICY.replace("quorum both", "quorum none")), ())
    two = policy_of_keys([LOG.key, *WITNESS_KEYS], 2)
    assert [meets(two, chosen) for chosen in ((0,), (1, 2))] == [False, True]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("quorum both", "", "no line says which quorum"),
        ("quorum both", "quorum neither", "line 9: no line above makes neither"),
        ("quorum both", "quorum both\nquorum none", "line 10: this is no line"),
        ("group both", "group papers", "line 8: the name papers is taken"),
        ("any paper", "3 paper", "line 7: of 2 members"),
        ("any paper", "0 paper", "line 7: of 2 members"),
        ("any paper", "any other", "line 7: a member stands twice"),
        ("witness paper", "witness none", "line 4: the name none is taken"),
        (f"log {LOG.key.text}", f"log {WITNESS_KEYS[0].text}", "line 3: this is a witness's key"),
        (WITNESS_KEYS[0].text, LOG.key.text, "line 4: this is no witness's key"),
        (WITNESS_KEYS[0].text, WITNESS_KEYS[1].text, "given twice"),
        ("quorum both", "quorum both #" + "x" * POLICY_BYTES_MAX, "at most 65536 bytes"),
        (f"log {LOG.key.text} https://log.example/", "", "no log's key"),
    ],
)
def test_what_is_no_policy(old: str, new: str, said: str) -> None:
    with pytest.raises(LocalError, match=said):
        parse_policy(POLICY.replace(old, new, 1))


def test_a_policy_on_the_command_line(desk: Desk) -> None:
    path = desk.write("city.policy", POLICY.encode())
    code, [found] = ask(desk.folder / "log", "--policy", path)
    assert (code, reasons(found)) == (1, ["checkpoint-quorum"])
    path.write_text(POLICY.replace("quorum both", "quorum papers"))
    assert ask(desk.folder / "log", "--policy", path)[0] == 0
