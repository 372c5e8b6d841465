"""Try every malformed input of tests/hostile, and write down what became of them.

    python benchmarks/hostile.py [-o REPORT.md]

It runs the tests of that folder with all of their cases. A case fails its test if it ends in an
error without a sentence, takes more than 10 s or 1 GB, costs its neighbours something, runs code,
or shows what it must not; then no report is written.
"""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from hostile.limits import Tried  # type: ignore[import-not-found]  # pytest finds it

ROOT = Path(__file__).resolve().parents[1]
NOT_COVERED = (
    "faults of the libraries in C that let a file run code: no sandbox stands against them",
    "damaged stores on disks that answer wrongly, without an error",
    "files that change while they are read",
    "files that other versions of the libraries read in another way",
    "models of a hub that change under the same commit: only their sha256 is compared",
)


def report(tried: "Mapping[str, Tried]") -> str:
    """Write the table."""
    rows = [
        f"| {kind} | {found.cases} | 0 | 0 | 0 | 0 | 0 | {found.longest_s:.1f} | {found.most_mb} |"
        for kind, found in sorted(tried.items())
    ]
    cases = sum(found.cases for found in tried.values())
    return "\n".join(
        [
            "# Malformed input",
            "",
            "`python benchmarks/hostile.py`",
            "",
            f"{cases:,} malformed inputs, made by the code in `tests/hostile/`: cut off, longer, "
            "with flipped bits, absurd numbers, bombs, names, links, and hostile SQL. "
            f"{os.cpu_count()} cores. Each ends in a sentence of its own, or is read. *Lost*: good "
            "neighbours that aren't read. *Leaked*: paths, files, or the environment in an answer. "
            "*Run*: code of the input. *Longest*, *memory*: of one case, or of all at once where "
            "it says so; memory is what it took beyond what was in use.",
            "",
            "| class | tried | lost | leaked | run | traceback | hung | longest, s | memory, MB |",
            f"|---|{'--:|' * 8}",
            *rows,
            "",
            "Not covered:",
            "",
            *(f"- {each}" for each in NOT_COVERED),
            "",
        ]
    )


def main() -> None:
    """Parse, try, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    os.environ["HOSTILE"] = "all"
    os.chdir(ROOT)
    code = pytest.main(["-q", "-m", "not slow", "-p", "no:cacheprovider", "tests/hostile"])
    if code:
        raise SystemExit(int(code))
    text = report(sys.modules["hostile.limits"].TRIED)
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
