"""The surface: what is public, what an import costs, and the laws of the house.

`tests/surface.txt` is every public name with its signature; a change of the surface shows there as
a change of a line. To write it anew: `.venv/bin/python tests/test_surface.py`.
"""

import ast
import difflib
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import variate
from variate import errors

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "variate"
GOLDEN = Path(__file__).with_name("surface.txt")
FILES = sorted(PACKAGE.rglob("*.py"))
OPTIONAL = [
    "zuko",
    "matplotlib",
    "jinja2",
    "pandas",
    "statsmodels",
    "tensorboard",
    "polars",
    "opacus",
    "PIL",
    "skimage",
]
ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def module_names() -> list[str]:
    """Every public module of the package."""
    found = pkgutil.walk_packages([str(PACKAGE)], prefix="variate.")
    return ["variate", *sorted(m.name for m in found if "._" not in m.name)]


def signature_of(thing: object) -> str:
    """The parameters and their defaults, without annotations."""
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        return ""
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    text = str(inspect.Signature(bare))
    return ADDRESS.sub("", text)


def members_of(cls: type) -> list[str]:
    """The public methods and properties that a class has from us, one line each."""
    lines = {}
    for base in reversed(cls.__mro__):
        if not base.__module__.startswith("variate"):
            continue
        for name, member in vars(base).items():
            if name.startswith("_"):
                continue
            if isinstance(member, (classmethod, staticmethod)):
                member = member.__func__
            if inspect.isfunction(member):
                lines[name] = f"    .{name}{signature_of(member)}"
            elif isinstance(member, property):
                lines[name] = f"    .{name}"
    return [lines[name] for name in sorted(lines)]


def public_modules() -> list[str]:
    """The root, its rooms and files, and the modules that a room offers by name."""
    top = [name for name in module_names() if name.count(".") <= 1]
    rooms = [importlib.import_module(name) for name in top]
    offered = {
        getattr(room, name).__name__
        for room in rooms
        for name in room.__all__
        if inspect.ismodule(getattr(room, name))
    }
    return sorted({*top, *offered})


def surface() -> str:
    """Every public name of every public module, with signatures."""
    lines: list[str] = []
    public = public_modules()
    for module_name in public:
        module = importlib.import_module(module_name)
        lines.append(module_name)
        for name in sorted(module.__all__):
            thing = getattr(module, name)
            home = getattr(thing, "__module__", module_name)
            if home != module_name and home in public:
                lines.append(f"  {name} <- {home}")
            elif inspect.ismodule(thing):
                lines.append(f"  {name} <- {thing.__name__}")
            elif inspect.isclass(thing):
                lines.append(f"  {name}{signature_of(thing)}")
                lines += members_of(thing)
            elif inspect.isfunction(thing):
                lines.append(f"  {name}{signature_of(thing)}")
            else:
                lines.append(f"  {name}")
    return "\n".join(lines) + "\n"


def test_the_surface_is_the_one_on_record():
    now, then = surface().splitlines(), GOLDEN.read_text(encoding="utf-8").splitlines()
    changes = list(difflib.unified_diff(then, now, "on record", "now", n=0, lineterm=""))
    if changes:
        shown = "\n".join(changes)
        pytest.fail(f"if this is meant, run python tests/test_surface.py\n{shown}", pytrace=False)


def test_every_name_of_the_root_can_be_reached():
    assert set(dir(variate)) == set(variate.__all__)
    for name in variate.__all__:
        assert getattr(variate, name) is not None
    with pytest.raises(AttributeError, match="TabelVAE"):
        variate.TabelVAE  # noqa: B018


# ---- what an import costs -------------------------------------------------------------------


def in_a_fresh_process(code: str) -> str:
    """What `code` prints in a new interpreter."""
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_variate_is_quick_and_loads_no_torch():
    # Processor time, which a busy machine does not stretch as it does wall time.
    said = in_a_fresh_process(
        "import time; start = time.process_time(); import variate\n"
        "spent = time.process_time() - start\n"
        "import sys; print(spent, *(m for m in ('torch', 'numpy', 'rich') if m in sys.modules))"
    )
    spent, *heavy = said.split()
    assert not heavy
    assert float(spent) < 0.1


def test_help_is_quick_and_loads_no_torch():
    code = (
        "import time, sys, contextlib, io\n"
        "from variate.cli import main\n"
        "sys.argv = ['variate', '--help']\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit): main()\n"
        "print(time.process_time(), *(m for m in ('torch', 'numpy') if m in sys.modules))"
    )
    quickest = 1.0
    for _ in range(3):  # a busy machine stretches processor time too, by a half
        spent, *heavy = in_a_fresh_process(code).split()
        assert not heavy
        quickest = min(quickest, float(spent))
    assert quickest < 0.5  # two cores and a cold cache; benchmarks/ has the exact figure


def test_every_module_can_be_imported_without_the_extras():
    # Core dependencies may look for an extra themselves, so only our own imports are refused.
    said = in_a_fresh_process(
        "import builtins, importlib\n"
        "real = builtins.__import__\n"
        "def ours_only(name, globals=None, *rest):\n"
        "    importer = (globals or {}).get('__name__', '')\n"
        f"    if importer.startswith('variate') and name.split('.')[0] in {OPTIONAL}:\n"
        "        raise ImportError(f'{importer} imports {name}')\n"
        "    return real(name, globals, *rest)\n"
        "builtins.__import__ = ours_only\n"
        f"for name in {module_names()}: importlib.import_module(name)\n"
        "print('done')"
    )
    assert said.strip() == "done"


# ---- the laws of the house ------------------------------------------------------------------


def test_nobody_imports_the_root():
    submodules = {path.stem for path in PACKAGE.iterdir()}
    guilty = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names if alias.name == "variate"]
            elif isinstance(node, ast.ImportFrom) and node.module == "variate":
                names = [alias.name for alias in node.names if alias.name not in submodules]
            else:
                continue
            guilty += [f"{path.relative_to(PACKAGE)}:{node.lineno} {name}" for name in names]
    assert not guilty


def test_errors_imports_nothing():
    tree = ast.parse((PACKAGE / "errors.py").read_text(encoding="utf-8"))
    assert not [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]


def test_the_tree_of_errors_in_its_docstring_is_the_tree():
    drawn = re.findall(r"^[ │├└─]*(\w+)(?: \((\w+)\))?(?: |$)", errors.__doc__, re.MULTILINE)
    own = {name: getattr(errors, name) for name in errors.__all__}
    names = {name for name, _ in drawn if name in own}
    assert names == set(own)
    for name, builtin in drawn:
        if name in own and builtin:
            assert builtin in {base.__name__ for base in own[name].__mro__}
    assert all(issubclass(e, (errors.VariateError, errors.VariateWarning)) for e in own.values())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_file_is_short_and_says_what_is_public(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 400
    tree = ast.parse(text)
    if path.name.startswith("_") and path.name != "__init__.py":
        return
    listed = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    assert len(listed) == 1, "__all__ is missing"
    defined = {
        node.name
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
        and not any("app." in ast.unparse(d) for d in node.decorator_list)  # a verb, not a name
    }
    public = {name for name in defined if not name.startswith("_")}
    assert public <= set(listed[0]), "public by name, not in __all__"


if __name__ == "__main__":
    GOLDEN.write_text(surface(), encoding="utf-8")
