"""What strangers write, made fit to show and to send by the page: nothing hidden, nothing turned, and nodes take it."""

from __future__ import annotations

import json
import subprocess
import unicodedata
from typing import TYPE_CHECKING

from p2pworld.world.text import line_fault
from tests.patience import PATIENCE_S
from tests.web.hostile_strings import HOSTILE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.web.conftest import Built


def test_every_hostile_string_passes_the_page_s_filters(built: Built, tmp_path: Path) -> None:
    assert len(set(HOSTILE)) == 200
    bundle = tmp_path / "clean.mjs"
    node = built.node[0]
    build = (
        "import {build} from 'esbuild'; await build({entryPoints: ['src/words/clean.ts'], bundle: true,"
        " platform: 'node', format: 'esm', charset: 'ascii', outfile: process.argv[1]});"
    )
    subprocess.run(
        [node, "--input-type=module", "--eval", build, str(bundle)], cwd=built.sources, check=True, timeout=60
    )
    run = (
        f"import {{clean, sendable}} from {json.dumps(bundle.as_uri())};"
        "let all = ''; for await (const part of process.stdin) all += part;"
        "console.log(JSON.stringify(JSON.parse(all).map((text) => [clean(text, 72), sendable(text)])));"
    )
    done = subprocess.run(
        [node, "--input-type=module", "--eval", run],
        input=json.dumps(HOSTILE),
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    answers = json.loads(done.stdout)
    assert len(answers) == 200
    for text, (shown, sent) in zip(HOSTILE, answers, strict=True):
        assert len(shown) <= 72 * 12 + 1, ascii(text)
        for made in (shown, sent):
            assert made == made.strip(), ascii(text)
            marks = 0
            for character in made:
                kind = unicodedata.category(character)
                assert kind not in ("Cc", "Cs", "Co", "Zl", "Zp"), ascii(text)
                assert unicodedata.bidirectional(character) not in (
                    "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI",
                ), ascii(text)  # fmt: skip
                marks = marks + 1 if kind.startswith("M") else 0
                assert marks <= 2, ascii(text)
        if sent:
            assert line_fault(sent, len(sent)) is None, (ascii(text), ascii(sent))
