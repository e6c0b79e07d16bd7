"""Constraints as a TOML file: written for people to edit, and read again.

    [[constraint]]
    rule = "LessEqual"
    low = "placed"
    high = "shipped"

One block for each rule; its keys are the arguments that the rule takes in Python. What is read was
typed by hand, so every error names the file, the line and the key.

This module does not know what the rules say, nor how they are found.
"""

import json
import re
import tomllib
from collections.abc import Iterable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from variate.errors import OptionError
from variate.output import replacing
from variate.table.constraints.compose import RULES, Constraints
from variate.table.constraints.rule import Rule

__all__ = ["read", "write"]

HEAD = (
    "# Rules that every row obeys. Delete those that only happen to hold, add those that are\n"
    "# missing, then: variate fit DATA --constraints THIS_FILE\n"
)
BLOCK = re.compile(r"\s*\[\[\s*constraint\s*\]\]")
KINDS: dict[str, type[Rule]] = {kind.__name__: kind for kind in RULES}


def write(path: str | Path, rules: Iterable[tuple[Rule, str]]) -> Path:
    """Write rules, each below a remark on it, as a file that `read` reads.

    Raises:
        OutputError: The file cannot be written.
    """
    blocks = [HEAD, *(_block(rule, remark) for rule, remark in rules)]
    with replacing(path) as file:
        file.write("\n".join(blocks).encode())
    return Path(path)


def _block(rule: Rule, remark: str) -> str:
    lines = [f"# {line}" for line in remark.splitlines()]
    lines += ["[[constraint]]", f"rule = {_written(type(rule).__name__)}"]
    for field in fields(rule):  # type: ignore[arg-type]  # every rule is a dataclass
        value = getattr(rule, field.name)
        if value != field.default:
            lines.append(f"{field.name} = {_written(value)}")
    return "\n".join(lines) + "\n"


def _written(value: Any) -> str:
    """A value as TOML, which for what rules hold is JSON but for one control character."""
    found = json.dumps(value, ensure_ascii=False)
    return found.replace("\x7f", "\\u007f")


def read(path: str | Path) -> list[Rule]:
    """The rules in a file.

    Raises:
        OptionError: It is not there, no such file, or rules clash; the message names the line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        found = tomllib.loads(text)
    except OSError as error:
        raise OptionError(f"cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise OptionError(f"{path} is not UTF-8 text ({error.reason}).") from error
    except tomllib.TOMLDecodeError as error:
        raise OptionError(f"{path} is no TOML file: {error}.") from error
    blocks = found.pop("constraint", [])
    if found:
        raise OptionError(
            f"{path}, line {_line_of(text, next(iter(found)))}: {next(iter(found))!r} means "
            "nothing there; each rule is a block that begins with [[constraint]]."
        )
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise OptionError(f"{path}: a rule is a block that begins with [[constraint]].")
    lines = [number for number, line in enumerate(text.split("\n"), 1) if BLOCK.match(line)]
    lines += [0] * (len(blocks) - len(lines))  # written inline: there is no such line
    rules = [_rule(block, _where(path, at)) for block, at in zip(blocks, lines, strict=False)]
    try:
        Constraints(rules)
    except OptionError as error:
        raise OptionError(f"{path}: {error}") from error
    return rules


def _where(path: str | Path, line: int) -> str:
    return f"{path}, line {line}" if line else str(path)


def _line_of(text: str, key: str) -> int:
    """The first line on which a key of the file's own seems to be."""
    lines = text.split("\n")
    named = (i for i, line in enumerate(lines, 1) if re.match(rf"[\s\[\"']*{re.escape(key)}", line))
    return next(named, 1)


def _rule(block: dict[str, Any], where: str) -> Rule:
    name = block.get("rule")
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise OptionError(
            f'{where}: rule = {_shown(name)} is no constraint; write rule = "NAME", of '
            f"{', '.join(KINDS)}."
        )
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    given = {key: _frozen(value) for key, value in block.items() if key != "rule"}
    wanted = [key for key, field in known.items() if field.default is MISSING]
    if unknown := [key for key in given if key not in known]:
        raise OptionError(f"{where}: {name} has no key {unknown[0]!r}; it has {', '.join(known)}.")
    if absent := [key for key in wanted if key not in given]:
        raise OptionError(f"{where}: {name} lacks the key {absent[0]!r}.")
    try:
        return kind(**given)
    except OptionError as error:
        raise OptionError(f"{where}: {error}") from error
    except (TypeError, AttributeError) as error:
        held = ", ".join(f"{key} = {_shown(value)}" for key, value in block.items())
        raise OptionError(
            f"{where}: {held}: these are not the values that {name} takes ({error})."
        ) from error


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _shown(value: Any) -> str:
    return f"{json.dumps(value, default=str, ensure_ascii=False):.60}"
