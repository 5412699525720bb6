"""What the files at the top of the project promise about each other."""
import ast, subprocess, sys, tomllib
from configparser import ConfigParser
from importlib import import_module
from pathlib import Path

import nbformat
import pytest

import gp_speech
from gp_speech._modidx import d as index
from gp_speech._show import described, table

root = Path(__file__).resolve().parent.parent
parser = ConfigParser(delimiters=["="], interpolation=None)
parser.read(root / "settings.ini", encoding="utf-8")
cfg = parser["DEFAULT"]


def test_pyproject_is_in_step_with_settings():
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert project["name"] == cfg["name"] and project["description"] == cfg["description"]
    assert project["requires-python"] == f">={cfg['min_python']},<{cfg['max_python']}"


def test_version_is_in_step_with_settings(): assert gp_speech.__version__ == cfg["version"]


def test_the_changelog_knows_the_version(): assert f"## {cfg['version']}" in (root / "CHANGELOG.md").read_text()


def test_no_light_requirement_is_heavy():
    names = {line.split(">")[0] for line in cfg["requirements"].split()}
    assert not names & {"tensorflow", "pystan", "nbdev", "jupyterlab", "ipywidgets"}
    assert all(f"#   {name} " in (root / "settings.ini").read_text(encoding="utf-8") for name in names), "say why each is there"


@pytest.mark.parametrize("name", gp_speech.__all__)
def test_main_names_are_where_the_package_says(name):
    assert name in dir(gp_speech)
    assert getattr(gp_speech, name).__module__ == f"gp_speech.{gp_speech._home[name]}"


def test_unknown_names_are_told(): pytest.raises(AttributeError, lambda: gp_speech.nonsense)


@pytest.mark.parametrize("module", ["gp_speech", *sorted(f"gp_speech.{m}" for m in set(gp_speech._home.values()))])
def test_import_is_light(module):
    import_module(module)
    heavy = "matplotlib", "IPython", "tensorflow", "stan", "sympy", "joblib", "dask", "distributed"
    code = f"import sys, {module}; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_the_recording_ships_with_its_licence():
    data = Path(gp_speech.__file__).parent / "data"
    assert (data / "arctic_a0007.wav").stat().st_size == 128044
    assert "Carnegie Mellon University" in (data / "arctic_a0007.COPYING").read_text()


public = [name for names in index["syms"].values() for name in names if not any(part.startswith("_") for part in name.split(".")[2:])]


@pytest.mark.parametrize("name", public)
def test_every_parameter_is_explained(name):
    "The website shows what is said of each; the fields of classes of errors are Python's."
    package, module, *path = name.split(".")
    symbol = import_module(f"{package}.{module}")
    for part in path: symbol = getattr(symbol, part)
    assert (symbol.__doc__ or "").strip(), "a docstring is needed"
    if isinstance(symbol, type) and issubclass(symbol, Exception): return
    bare = [field for field, value in described(symbol).items() if field != "return" and not (value["docment"] or "").strip()]
    assert not bare, f"a comment on the line of {', '.join(bare)} is needed"


def test_the_table_shows_what_docments_passes_over():
    from gp_speech.kernels import profile
    from gp_speech.pitch import Costs
    from gp_speech.voice import Voice
    assert table(Costs).splitlines()[2:4] == ["| `move` | `float` | times the number of candidates between |", "| `stay` | `float` | voiced to voiced |"]
    assert table(Voice.matrix).splitlines()[2:] == ["| **returns** | `ndarray` | shape (frames, 2 + cepstra + 5) |"]
    assert table(profile).splitlines()[2:] == ['| `family` | `str` | one of `FAMILIES` but "white" |', "| **returns** |  | SymPy expression in r and l, 1 at r = 0 |"]


@pytest.mark.parametrize("path", sorted(root.glob("nbs/*.ipynb")), ids=lambda path: path.stem)
def test_pages_lose_nothing(path):
    "nbdev keeps nothing of a notebook's first cell but title and description, and runs cells that import, but not the others, before it documents."
    cells = nbformat.read(path, 4).cells
    title, description = filter(None, cells[0].source.split("\n"))
    assert title.startswith("# ") and description.startswith("> ")
    exports = [cell for cell in cells if cell.source.startswith("#| export")]
    for cell in cells:
        if not exports or cell.cell_type != "code" or cell in exports or cell.source.startswith("%"): continue
        statements = ast.parse(cell.source).body
        imports = [isinstance(node, (ast.Import, ast.ImportFrom)) for node in statements]
        assert all(imports) or not any(imports), f"cell {cell.id}: imports belong into a cell of their own"
