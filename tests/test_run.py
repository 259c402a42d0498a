"""run.py as a stranger meets it: in a small tree of its own, with locks that name nothing or what cannot be had.

One environment is really made, with no packages to fetch; the rest is asked of the stamp and of what is printed.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
import venv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement

if TYPE_CHECKING:
    from types import ModuleType

REPOSITORY = Path(__file__).resolve().parent.parent
RUNTIME_LOCK = "requirements.txt"
DEV_LOCK = "requirements-dev.txt"
PAGE_LOCK = "requirements-page.txt"

CLI = '''
"""A program that shows what it was given, and ends as it is told."""
import os, signal, sys
print("in", os.getcwd(), "with", sys.argv[1:])
if sys.argv[1] == "kill":
    os.kill(os.getpid(), signal.SIGTERM)
sys.exit(int(sys.argv[1]) if sys.argv[1].isdigit() else 2)
'''


def plant(root: Path) -> Path:
    """A tree like ours: run.py, two empty locks, and a command line that obeys."""
    root.mkdir(parents=True)
    shutil.copy(REPOSITORY / "run.py", root)
    (root / RUNTIME_LOCK).write_text("# nothing\n")
    (root / DEV_LOCK).write_text("# nothing for the tests either\n")
    (root / "shard_node").mkdir()
    (root / "shard_node" / "__init__.py").touch()
    (root / "shard_node" / "cli.py").write_text(CLI)
    return root


def load(root: Path) -> ModuleType:
    """The run.py of that tree, as a module."""
    spec = importlib.util.spec_from_file_location("run_under_test", root / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def finish(root: Path) -> Path:
    """Leaves what a finished set-up leaves, but for pip: quick, and fit for all that only looks at it."""
    run = load(root)
    venv.create(root / ".venv", symlinks=True)
    run.link_project(root)
    for lock in (RUNTIME_LOCK, DEV_LOCK):
        run.stamp_path(root, lock).write_text(run.stamp_text(root, lock))
    return root


def start(
    root: Path, *arguments: str, cwd: Path | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    """Starts run.py with no uv and no registry in reach."""
    return subprocess.run(
        [sys.executable, str(root / "run.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd or root,
        env={
            **os.environ,
            "PIP_NO_INDEX": "1",
            "PIP_CONFIG_FILE": os.devnull,
            "PATH": "/usr/bin:/bin",
            **env,
        },
        timeout=120,
    )


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree that is set up; tests leave it as it is."""
    return finish(plant(tmp_path_factory.mktemp("ready") / "서울 city"))


# ---- set-up


def test_set_up_after_an_interruption_then_adding_then_failing(tmp_path: Path) -> None:
    root = plant(tmp_path / "tree")
    (root / ".venv").mkdir()
    (root / ".venv" / "half-made").touch()
    (root / ".venv.lock").write_text("set-up under way\n")
    first = start(root, "7")
    assert first.returncode == 7
    assert "with ['7']" in first.stdout
    assert "run.py: making .venv" in first.stderr
    assert not (root / ".venv" / "half-made").exists()

    again = start(root, "8")
    assert (again.returncode, again.stderr) == (8, "")

    (root / DEV_LOCK).write_text(f"no-such-package-here==1 --hash=sha256:{'0' * 64}\n")
    failed = start(root, "setup")  # what is there is whole, and is added to
    assert failed.returncode == 2
    assert failed.stdout == ""
    assert "run.py: adding to .venv" in failed.stderr
    assert "the packages could not be fetched: check the network" in failed.stderr
    assert "no-such-package-here==1" in failed.stderr  # what pip said
    assert not load(root).is_set_up(root, DEV_LOCK)

    after = start(root, "9")  # what was whole still is
    assert (after.returncode, after.stderr) == (9, "")


@pytest.mark.parametrize("killed", [False, True])
def test_a_failed_replacement_puts_back_what_was_there(tmp_path: Path, killed: bool) -> None:
    root = finish(plant(tmp_path / "tree"))
    run = load(root)
    for _ in range(2):  # uv's attempt, then pip's
        run.set_aside(root)
        assert not (root / ".venv").exists()
        (root / ".venv").mkdir()
        (root / ".venv" / "half-made").touch()
    if killed:  # the next start finds it so
        assert start(root, "4").returncode == 4
    else:
        run.settle(root, succeeded=False)
    assert run.is_set_up(root, RUNTIME_LOCK)
    assert not (root / ".venv" / "half-made").exists()
    assert not (root / ".venv.old").exists()


def test_a_replacement_that_succeeds_leaves_nothing_of_the_old(tmp_path: Path) -> None:
    root = finish(plant(tmp_path / "tree"))
    run = load(root)
    run.set_aside(root)
    (root / ".venv").mkdir()
    run.settle(root, succeeded=True)
    assert list((root / ".venv").iterdir()) == []
    assert not (root / ".venv.old").exists()


def test_a_second_start_does_nothing_but_start(ready: Path) -> None:
    before = sorted((path, path.lstat().st_mtime_ns) for path in (ready / ".venv").iterdir())
    done = start(ready, "3", "--flag", "a b", "--", "-x")
    assert done.stderr == ""
    assert done.stdout.endswith("with ['3', '--flag', 'a b', '--', '-x']\n")
    assert done.returncode == 3
    assert sorted((path, path.lstat().st_mtime_ns) for path in (ready / ".venv").iterdir()) == before


def test_the_program_runs_where_it_was_started_whatever_lies_there(ready: Path, tmp_path: Path) -> None:
    (tmp_path / "shard_node.py").write_text("raise SystemExit('the wrong one')")
    done = start(ready, "0", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"in {tmp_path} with")


def test_a_signal_comes_through(ready: Path) -> None:
    assert start(ready, "kill").returncode == -signal.SIGTERM


def test_an_unknown_subcommand_is_the_program_s_to_refuse(ready: Path) -> None:
    assert start(ready, "no-such-subcommand").returncode == 2


def test_the_console_script_starts_the_same(ready: Path) -> None:
    script = ready / ".venv" / "bin" / "p2pworld"
    done = subprocess.run([str(script), "5", "x y"], capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 5
    assert done.stdout == "in / with ['5', 'x y']\n"


# ---- the stamp


def test_the_stamp_follows_the_lock_the_place_and_the_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = finish(plant(tmp_path / "tree"))
    run = load(root)
    assert run.is_set_up(root, RUNTIME_LOCK)
    assert run.can_be_kept(root)

    (root / RUNTIME_LOCK).write_text("# something else\n")
    assert not run.is_set_up(root, RUNTIME_LOCK)
    assert run.is_set_up(root, DEV_LOCK)
    assert not run.can_be_kept(root)  # what the old lock put there has to go
    (root / RUNTIME_LOCK).write_text("# nothing\n")
    assert run.is_set_up(root, RUNTIME_LOCK)

    with monkeypatch.context() as patch:
        patch.setattr(run, "SETUP_VERSION", run.SETUP_VERSION + 1)
        assert not run.is_set_up(root, RUNTIME_LOCK)

    moved = root.rename(tmp_path / "moved")
    assert not run.is_set_up(moved, RUNTIME_LOCK)
    assert not run.can_be_kept(moved)


def test_an_environment_without_its_python_is_not_set_up(tmp_path: Path) -> None:
    root = finish(plant(tmp_path / "tree"))
    run = load(root)
    run.venv_python(root).unlink()
    assert not run.is_set_up(root, RUNTIME_LOCK)
    assert not run.can_be_kept(root)


def test_a_whole_environment_made_by_hand_is_kept_and_a_broken_one_is_not(tmp_path: Path) -> None:
    root = plant(tmp_path / "tree")
    run = load(root)
    assert not run.can_be_kept(root)
    venv.create(root / ".venv", symlinks=True)
    assert run.can_be_kept(root)
    run.venv_python(root).unlink()
    run.venv_python(root).symlink_to("/bin/true")
    assert not run.can_be_kept(root)


def test_install_asks_for_hashes_of_either_tool(tmp_path: Path) -> None:
    root = plant(tmp_path / "tree")
    run = load(root)
    for uv in (None, "/opt/uv"):
        asked: list[list[str]] = []
        run.install(root, DEV_LOCK, False, uv, asked.append)
        made, installed = asked
        assert made[-1] == str(root / ".venv")
        assert installed[-3:] == ["--require-hashes", "-r", str(root / DEV_LOCK)]
        assert (made[0] == uv) == (installed[0] == uv) == (uv is not None)


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("Temporary failure in name resolution", "check the network"),
        ("error: Failed to fetch: a page; dns error", "check the network"),
        ("THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", "hash differs"),
        ("returned non-zero exit status: -m ensurepip --upgrade", "python3-venv"),
        ("npm error code EINTEGRITY", "not the one that was locked"),
        ("npm error code ENOTFOUND", "check the network"),
        ("error: command 'gcc' failed", "what the tool said"),
    ],
)
def test_a_failure_is_told_in_one_sentence(output: str, sentence: str) -> None:
    told = load(REPOSITORY).why_it_failed(output)
    assert sentence in told
    assert told.count("\n") == 0


# ---- the page

BUILD = """
import { mkdirSync, writeFileSync, readFileSync } from "node:fs";
if (readFileSync("page.txt", "utf8") === "broken") throw new Error("it is broken");
mkdirSync("dist", { recursive: true });
writeFileSync("dist/index.html", readFileSync("page.txt"));
"""


def plant_page(root: Path) -> Path:
    """A page that is built without anything from npm; skips where there is no Node to build with."""
    page = root / "client" / "web"
    page.mkdir(parents=True)
    (page / "package-lock.json").write_text(
        '{"name": "p", "lockfileVersion": 3, "packages": {"": {"name": "p"}}}'
    )
    (page / "package.json").write_text('{"name": "p"}')
    (page / "build.mjs").write_text(BUILD)
    (page / "page.txt").write_text("one")
    if load(root).node_on_path() is None:
        pytest.skip("no Node on PATH")
    return page


def test_the_page_is_built_once_for_each_state_of_its_sources(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = finish(plant(tmp_path / "tree"))
    run, page = load(root), plant_page(root)
    assert not run.is_page_built(root, False)
    run.set_up_page(root, "demo")
    assert (page / "dist" / "index.html").read_text() == "one"
    assert "the page is ready" in capsys.readouterr().err
    assert run.is_page_built(root, False)
    assert not run.is_page_built(root, True)  # the tools of the tests are not there
    before = (page / "dist" / "index.html").stat().st_mtime_ns
    run.set_up_page(root, "node")
    assert capsys.readouterr().err == ""
    assert (page / "dist" / "index.html").stat().st_mtime_ns == before
    (page / "page.txt").write_text("two")
    run.set_up_page(root, "setup")
    assert (page / "dist" / "index.html").read_text() == "two"
    assert run.is_page_built(root, True)
    assert run.is_page_built(root, False)  # the whole serves for less
    shutil.rmtree(page / "dist")
    assert not run.is_page_built(root, False)


def test_a_city_runs_without_a_page_that_cannot_be_built_and_tests_do_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = finish(plant(tmp_path / "tree"))
    run, page = load(root), plant_page(root)
    (page / "page.txt").write_text("broken")
    run.set_up_page(root, "demo")
    told = capsys.readouterr().err
    assert "THE PAGE COULD NOT BE BUILT" in told
    assert "it is broken" in told
    with pytest.raises(run.SetupFailed):
        run.set_up_page(root, "test")
    assert not run.is_page_built(root, False)


def test_a_tree_without_a_page_needs_none(ready: Path) -> None:
    assert load(ready).is_page_built(ready, True)


def test_a_node_too_old_or_without_npm_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = load(REPOSITORY)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run.node_on_path() is None
    for name, body in (("node", "echo 18.20.1"), ("npm", "")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    assert run.node_on_path() is None
    (tmp_path / "node").write_text("#!/bin/sh\necho 22.1.0\n")
    assert run.node_on_path() == [str(tmp_path / "node"), str(tmp_path / "npm")]
    (tmp_path / "npm").unlink()
    assert run.node_on_path() is None


# ---- before set-up


def test_servers_are_looked_for_on_the_path_and_where_debian_puts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "15").mkdir()
    (tmp_path / "15" / "there").write_text("")
    found = {"a": ((str(tmp_path / "*" / "there"),), "p"), "b": (("sh",), "p")}
    run = load(REPOSITORY)
    lacking = {"c": ((str(tmp_path / "*" / "gone"), "no-such-program"), "p")}
    monkeypatch.setattr(run, "SERVERS", found | lacking)
    assert run.missing_servers() == ["c"]


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"]])
def test_help_sets_nothing_up(tmp_path: Path, arguments: list[str]) -> None:
    root = plant(tmp_path / "tree")
    done = start(root, *arguments)
    assert done.returncode == 0
    assert done.stdout.startswith("usage: python3 run.py SUBCOMMAND")
    assert not (root / ".venv").exists()


def test_old_pythons_can_read_the_file_and_names_after_the_check_are_not_needed_before_it() -> None:
    tree = ast.parse((REPOSITORY / "run.py").read_text(), feature_version=(3, 6))
    check = next(i for i, node in enumerate(tree.body) if isinstance(node, ast.If))
    for node in tree.body[:check]:
        assert not isinstance(node, ast.ClassDef | ast.AnnAssign)
        if isinstance(node, ast.FunctionDef):
            annotations = [argument.annotation for argument in node.args.args] + [node.returns]
            assert all(isinstance(annotation, ast.Constant) for annotation in annotations)


def test_a_newer_python_is_taken_only_if_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = load(REPOSITORY)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run.newer_python() is None
    for name, body in (("python3.13", "#!/bin/sh\nexit 127\n"), ("python3.12", "#!/bin/sh\nexit 0\n")):
        (tmp_path / name).write_text(body)
        (tmp_path / name).chmod(0o755)
    assert run.newer_python() == str(tmp_path / "python3.12")


# ---- the locks


def pins(lock: str) -> dict[str, str]:
    """Name to version of what a lock pins."""
    text = (REPOSITORY / lock).read_text()
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))


@pytest.mark.parametrize("lock", [RUNTIME_LOCK, DEV_LOCK, PAGE_LOCK])
def test_a_lock_names_packages_versions_and_hashes_and_no_place(lock: str) -> None:
    text = (REPOSITORY / lock).read_text()
    requirements = re.sub(r"\\\n", " ", text).splitlines()
    shape = re.compile(r"[a-z0-9-]+==[\w.]+( ; [^:]*?)?(\s+--hash=sha256:[0-9a-f]{64})+")
    assert [line for line in requirements if not shape.fullmatch(line)] == []
    assert len(pins(lock)) == len(requirements)  # one version of each, the same for every Python


def test_the_locks_hold_what_the_project_asks_for() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    runtime, dev, page = pins(RUNTIME_LOCK), pins(DEV_LOCK), pins(PAGE_LOCK)
    for pinned, wanted in (
        (runtime, project["project"]["dependencies"]),
        (dev, project["dependency-groups"]["dev"]),
        (page, project["dependency-groups"]["page"]),
    ):
        for requirement in map(Requirement, wanted):
            assert requirement.specifier.contains(pinned[requirement.name]), requirement
    assert runtime.items() <= dev.items()
