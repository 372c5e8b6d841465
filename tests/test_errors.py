"""The error tree is as drawn, and messages come out as written."""

import inspect
import pickle
import re

import pytest

from clearbench import errors
from clearbench.errors import (
    BadArgument,
    ClearbenchError,
    UnknownName,
    name_some,
    plain_text,
    suggestion,
)

CLASSES = [
    found
    for _, found in inspect.getmembers(errors, inspect.isclass)
    if issubclass(found, ClearbenchError)
]
DRAWN = re.findall(r"^ *[*+-] (\w+)", errors.__doc__ or "", re.M)


def test_every_error_is_drawn_with_its_builtin() -> None:
    assert sorted(DRAWN) == sorted(found.__name__ for found in CLASSES)
    for name, builtin in re.findall(r"\+ (\w+) +\((\w+)\)", errors.__doc__ or ""):
        assert builtin in {base.__name__ for base in getattr(errors, name).__mro__}


@pytest.mark.parametrize("found", [found for found in CLASSES if found is not BadArgument])
def test_an_error_says_its_message_in_every_process(found: type[ClearbenchError]) -> None:
    error = found("it's a 'message'")
    assert str(error) == "it's a 'message'"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    expected = 1 if found.__name__ in ("UnreadableScan", "TrainingDiverged", "StorageFull") else 2
    assert error.exit_code == expected


def test_a_bad_argument_has_its_name_value_and_reason_in_every_process() -> None:
    error = pickle.loads(pickle.dumps(BadArgument("device", "gpu", "torch sees none")))
    assert (error.name, error.value, error.reason) == ("device", "gpu", "torch sees none")
    assert str(error) == "device='gpu': torch sees none"
    assert error.exit_code == 2


def test_an_unknown_name_offers_its_neighbours() -> None:
    error = UnknownName.among("encoder", "biomedclp", ["biomedclip", "lecl"], " (`list`)")
    assert str(error) == 'no encoder is called "biomedclp"; did you mean biomedclip? (`list`)'
    assert isinstance(error, KeyError)
    assert str(UnknownName.among("task", "zzz", ["lesion"])) == 'no task is called "zzz"'


def test_suggestions_fold_case_and_keep_the_known_spelling() -> None:
    assert suggestion("PATIENTID", ["PatientID", "path"]) == "; did you mean PatientID?"
    assert suggestion("ab", ["ab1", "ab2"]) == "; did you mean ab2 or ab1?"
    assert suggestion("x", []) == ""


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], ""),
        (["a"], "a"),
        (list("abcde"), "a, b, c, d, e"),
        (list("abcdefgh"), "a, b, c, d, e and 3 more"),
    ],
)
def test_a_few_names_are_shown_and_the_rest_counted(names: list[str], text: str) -> None:
    assert name_some(names) == text


def test_how_many_names_are_shown_can_be_chosen() -> None:
    assert name_some(("x", "y", "z"), 2) == "x, y and 1 more"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Müller 12 × 3", "Müller 12 × 3"),
        ("a\nb", "a\\nb"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\u202efdp", "\\u202efdp"),
        ("M\udcfcller", "M\\udcfcller"),
    ],
)
def test_a_terminal_only_shows_plain_text(text: str, shown: str) -> None:
    assert plain_text(text) == shown
