"""`--help` of groups: whole sentences, and commands in the order of the path."""

from types import MappingProxyType
from typing import Any

from typer.core import TyperGroup

SECTIONS = MappingProxyType(
    {
        "Data": ("scans", "cohort"),
        "Encoders": ("models", "pretrain"),
        "Features": ("embed", "store", "query", "similar"),
        "Evaluation": ("tasks", "evaluate", "leaderboard"),
        "Sharing": ("apply", "pack", "audit"),
        "Help": ("demo", "doctor"),
    }
)
WHOLE = 1000  # characters: longer than any sentence, so that none is cut


class Group(TyperGroup):
    """A group of commands; each is listed with its whole first sentence."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands below one heading."""
        self._write(formatter, {"Commands": tuple(self.list_commands(ctx))})

    def _write(self, formatter: Any, sections: Any) -> None:
        """Write the commands below their headings, aligned over all sections."""
        width = max(len(name) for names in sections.values() for name in names)
        for title, names in sections.items():
            with formatter.section(title):
                formatter.write_dl(
                    [
                        (name.ljust(width), self.commands[name].get_short_help_str(WHOLE))
                        for name in names
                    ]
                )


class Program(Group):
    """The whole program: its commands below the headings of SECTIONS."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands below the headings of SECTIONS."""
        del ctx
        self._write(formatter, SECTIONS)
