"""Draw leaderboard.svg: two published boards, as `clearbench leaderboard` shows them.

`python docs/pictures/leaderboard.py [FILE]` writes the picture next to this script, or to FILE.
The same results give the same file. It loads nothing from a network.
"""

import io
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.terminal_theme import TerminalTheme

from clearbench.board.tables import Leaderboard, leaderboard
from clearbench.display import console

SHOWN = ("ct-ich-hemorrhage", "synthetic-lesion-location")
COLUMNS = 112  # wide enough for whiskers
THEME = TerminalTheme(  # background, text, and the eight colours of a terminal
    (246, 248, 250),
    (36, 41, 47),
    [
        (36, 41, 47),
        (207, 34, 46),
        (17, 99, 41),
        (77, 45, 0),
        (9, 105, 218),
        (130, 80, 223),
        (27, 124, 131),
        (110, 119, 129),
    ],
)
SVG = """<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-size: {char_height}px; font-family: ui-monospace, SFMono-Regular,
  Menlo, Consolas, "Liberation Mono", "DejaVu Sans Mono", monospace; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix" xml:space="preserve">
{matrix}
</g>
</g>
</svg>
"""


class Terminal(Console):
    """A console that folds long lines, as terminals do."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print without soft wrapping, which would cut lines off in a picture."""
        super().print(*objects, **{**options, "soft_wrap": False})


def draw(found: Leaderboard) -> str:
    """Return a leaderboard as a terminal shows it, as SVG."""
    screen = Terminal(
        record=True,
        file=io.StringIO(),
        width=COLUMNS,
        force_terminal=True,
        color_system="truecolor",
        highlight=False,
        no_color=False,
    )
    console.out = console.err = screen  # before the display code takes them from there
    from clearbench.display.boards import show_leaderboard

    show_leaderboard(found)
    return screen.export_svg(
        title="clearbench leaderboard", theme=THEME, code_format=SVG, unique_id="leaderboard"
    )


def published() -> Leaderboard:
    """Return the published boards that are shown, in the order of SHOWN."""
    boards = {board.task: board for board in leaderboard([]).boards}
    return Leaderboard(tuple(boards[task] for task in SHOWN))


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".svg")
    target.write_text(draw(published()), encoding="utf-8")
