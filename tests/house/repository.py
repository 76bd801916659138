"""The repository as the house tests see it: its files, and the packages under ``src``."""

import ast
import functools
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "vertebra"


@functools.cache
def files(*suffixes: str) -> tuple[Path, ...]:
    """Files that are, or are about to be, under version control; all when no suffix is given."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    found = [ROOT / name for name in sorted(set(listed)) if not suffixes or name.endswith(suffixes)]
    return tuple(path for path in found if path.is_file())


def python_files(*parts: str) -> tuple[Path, ...]:
    """Python files below a directory of the repository."""
    top = ROOT.joinpath(*parts)
    return tuple(path for path in files(".py") if path.is_relative_to(top))


def name_of(path: Path) -> str:
    """Path below the root, for messages."""
    return path.relative_to(ROOT).as_posix()


def tree(path: Path) -> ast.Module:
    """Syntax tree of a file."""
    return ast.parse(path.read_text(), filename=str(path))


def packages() -> tuple[str, ...]:
    """Packages under ``src/vertebra`` that hold a module, and the modules beside them."""
    held = {
        path.parent.relative_to(SOURCE).as_posix()
        for path in python_files("src", "vertebra")
        if path.name != "__init__.py"
    }
    top = {
        path.name
        for path in python_files("src", "vertebra")
        if path.parent == SOURCE and path.name not in ("__init__.py", "__main__.py")
    }
    return tuple(sorted((held - {"."}) | top))


def imported(node: ast.AST) -> list[str]:
    """Modules that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module]
    return []
