"""Print a pip constraints file with the lowest allowed version of every dependency.

    python .ci/lowest.py [PYPROJECT] > constraints.txt

It reads `project.dependencies` and the extra `dev`. It needs the standard library only, so that it
runs before anything is installed.
"""

import re
import sys
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"
EXTRA = "dev"
REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^]]*\])?\s*([^;]*?)\s*(;.*)?")
LOWER_BOUNDS = (">=", "~=", "==")


class NoLowestVersion(ValueError):
    """A requirement allows no lowest version, or two of them."""


def lowest(requirement: str) -> str:
    """Return the constraint of one requirement: "h5py>=3.10" gives "h5py==3.10".

    A range gives its lower bound; extras are left out, a marker is kept. Raises NoLowestVersion for
    a requirement without a lower bound.
    """
    parts = REQUIREMENT.fullmatch(requirement)
    if parts is None:
        raise NoLowestVersion(f"{requirement!r} is not a requirement with version bounds")
    name, bounds, marker = parts[1], parts[2].strip("() "), parts[3] or ""
    for bound in (each.strip() for each in bounds.split(",")):
        if bound.startswith(LOWER_BOUNDS):
            return f"{name}=={bound[2:].strip()}{marker}"
    raise NoLowestVersion(
        f"{requirement!r} has no lower bound; write the lowest version that works: {name}>=X"
    )


def constraints(pyproject: Path) -> list[str]:
    """Return a constraint for every dependency of the package and of its extra `dev`.

    Raises NoLowestVersion for a dependency without a lower bound, or with two different ones.
    """
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    found: dict[str, str] = {}
    for requirement in [*project["dependencies"], *project["optional-dependencies"][EXTRA]]:
        line = lowest(requirement)
        name = re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower()
        if found.setdefault(name, line) != line:
            raise NoLowestVersion(f"{name} has two lower bounds: {found[name]} and {line}; use one")
    return list(found.values())


def main(arguments: list[str]) -> int:
    """Print the constraints of a pyproject.toml, by default the one of this project."""
    pyproject = Path(arguments[0]) if arguments else PYPROJECT
    try:
        lines = constraints(pyproject)
    except NoLowestVersion as error:
        sys.stderr.write(f"{pyproject}: {error}\n")
        return 1
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
