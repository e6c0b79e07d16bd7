"""The pages tell the truth: every code block runs, every link leads somewhere, the tree is real.

The blocks of a page run in order, in one empty folder and one namespace: `python` blocks here,
and those lines of `sh` blocks that start with `variate`: the README's in a shell, as a reader runs
them, the others here, which spares the start of torch. Beside the blocks lies `people.csv`, the
reader's own file. A block after the comment `<!-- no-run -->` is not run.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import types
import warnings
from pathlib import Path
from typing import NamedTuple

import pytest
from tables import people

from variate.cli import main

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"(<!-- no-run -->\n+)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]*)?\)")
LIMIT = 120  # seconds for one command


class Block(NamedTuple):
    """A fenced block: the line of its first line of code, its language, its code."""

    line: int
    language: str
    code: str


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page that are to be run."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(text.count("\n", 0, match.start(3)) + 1, match[2], match[3])
        for match in FENCE.finditer(text)
        if not match[1]
    ]


def commands_of(code: str) -> list[str]:
    """The `variate` commands of a shell block, each with its continuation lines."""
    lines = code.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith("variate ")]


def run_in_shell(command: str, where: str) -> None:
    """Run a command as a reader does, with this environment's `variate` first on the path."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        command,
        shell=True,
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    said = f"{done.stdout[-2000:]}{done.stderr[-4000:]}"
    assert done.returncode == 0, f"{where}: `{command}` ended with {done.returncode}:\n{said}"


def run_here(command: str, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a command in this process, which has torch loaded already."""
    monkeypatch.setattr(sys, "argv", shlex.split(command))
    terminate = signal.getsignal(signal.SIGTERM)
    status: object = 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            main()
    except SystemExit as leaving:
        status = leaving.code or 0
    finally:
        signal.signal(signal.SIGTERM, terminate)
    assert status == 0, f"{where}: `{command}` ended with {status}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_blocks_of_a_page_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    people().to_csv("people.csv", index=False)
    namespace = types.ModuleType(f"page_{page.stem}")
    monkeypatch.setitem(sys.modules, namespace.__name__, namespace)
    for block in blocks_of(page):
        if block.language == "python":
            padded = "\n" * (block.line - 1) + block.code
            exec(compile(padded, str(page), "exec", dont_inherit=True), vars(namespace))
        elif block.language in ("sh", "console"):
            for command in commands_of(block.code):
                where = f"{page.name}:{block.line}"
                if page == README:
                    run_in_shell(command, where)
                else:
                    run_here(command, where, monkeypatch)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_links_of_a_page_lead_to_files(page):
    targets = [match[1] for match in LINK.finditer(page.read_text(encoding="utf-8"))]
    local = [target for target in targets if "://" not in target]
    missing = [target for target in local if not (page.parent / target).exists()]
    assert not missing


def tree_of_readme() -> dict[str, str]:
    """Path -> clause, read off the annotated tree in the README."""
    block = next(b for b in blocks_of(README) if "src/variate/" in b.code)
    folders: list[str] = []
    tree: dict[str, str] = {}
    for line in block.code.splitlines():
        if not line.strip():
            continue
        name, _, clause = line.strip().partition("  ")
        depth = (len(line) - len(line.lstrip())) // 2
        del folders[depth:]
        tree["".join(folders) + name] = clause.strip()
        if name.endswith("/"):
            folders.append(name)
    return tree


def test_the_tree_in_the_readme_is_the_tree():
    tree = tree_of_readme()
    package = ROOT / "src" / "variate"
    modules = {p.relative_to(ROOT).as_posix() for p in package.rglob("*.py")}
    named = {path for path in modules if not path.endswith("/__init__.py")}
    assert not [path for path in tree if not (ROOT / path).exists()], "in the tree, not on disk"
    assert not sorted(named - set(tree)), "on disk, not in the tree"
    assert not [path for path, clause in tree.items() if not clause], "without a clause"


def test_the_reader_of_blocks_sees_blocks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "a\n\n```python\nx = 1\n```\n\n<!-- no-run -->\n```python\n1 / 0\n```\n"
        "```sh\nvariate a \\\n  b\nls\n```\n",
        encoding="utf-8",
    )
    first, second = blocks_of(page)
    assert first == Block(4, "python", "x = 1\n")
    assert commands_of(second.code) == ["variate a    b"]
