"""Malformed TOML cards of encoders and tasks."""

from collections.abc import Iterator, Mapping
from itertools import product

from hostile.cases import Case, damaged, holes, no_files, put, random_damage

ENCODER = """
title = "E"
family = "timm"
source = "random:0"
net = "vit_tiny_patch16_224"
scope = "slice"
dim = 192
pooling = "mean"
precision = "bfloat16"
[weights]
licence = "MIT"
gated = false
unused = ["head."]
[input]
size_px = 224
views = "free"
default_views = ["lung"]
channels = "repeat"
resample = "bicubic"
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
[slicing]
spacing_mm = 5.0
context = 0
[facts]
parameters_m = 5.5
pretraining = ["imagenet"]
"""
TASK = """
title = "T"
version = 1
cohort = "own"
target = "binary"
labels = ["ill"]
classes = ["no", "yes"]
positive = "yes"
unknown = ["9"]
unit = "patient"
select = "all"
metric = "auroc"
head = "abmil"
[split]
folds = 5
repeats = 5
seed = 1337
column = ""
test = []
"""
LECL = """
title = "L"
family = "lecl"
source = "random:0"
net = "{net}"
dim = {dim}
pooling = "{pooling}"
weights = {{ licence = "MIT" }}
sizes = {{ {sizes} }}
[input]
size_px = {size_px}
views = "free"
default_views = ["lung"]
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
"""
KINDS: Mapping[str, tuple[str, str]] = {
    "encoder card": ("bad.toml", ENCODER),
    "task card": ("bad.toml", TASK),
}
VALUES: Mapping[str, str] = {
    "a text": '"abc"',
    "a blank text": '""',
    "a long text": f'"{"x" * 100_000}"',
    "a text with codes": r'"\u001b[31m\u0007\u202e\u0000"',
    "0": "0",
    "-1": "-1",
    "2**63": str(2**63),
    "4,000 digits": "9" * 4000,
    "5,000 digits": "9" * 5000,
    "1e308": "1e308",
    "nan": "nan",
    "inf": "-inf",
    "true": "true",
    "a date": "1979-05-27T07:32:00-08:00",
    "a time": "07:32:00",
    "an empty list": "[]",
    "a list of lists": "[[[1]]]",
    "many words": "[" + '"a",' * 50_000 + "]",
    "an empty table": "{}",
    "a table": '{ a = { b = "c" } }',
}


def wrong_values(kind: str, name: str, good: str) -> Iterator[Case]:
    """Yield a card for every key and every wrong value, and one without the key."""
    lines = good.splitlines()
    keys = [number for number, line in enumerate(lines) if " = " in line]
    for number, (what, value) in product(keys, VALUES.items()):
        key = lines[number].partition(" = ")[0]
        changed = [*lines[:number], f"{key} = {value}", *lines[number + 1 :]]
        yield Case(f"{kind}/{key} is {what}", put(name, "\n".join(changed).encode()))
    for number in keys:
        key = lines[number].partition(" = ")[0]
        changed = [*lines[:number], *lines[number + 1 :]]
        yield Case(f"{kind}/no {key}", put(name, "\n".join(changed).encode()))
        twice = "\n".join([*lines[: number + 1], lines[number], *lines[number + 1 :]])
        yield Case(f"{kind}/{key} twice", put(name, twice.encode()), refused=True)
    for word in ("weights", "input", "slicing", "facts", "split"):
        changed = [line.replace(f"[{word}]", f"[[{word}]]") for line in lines]
        yield Case(f"{kind}/{word} as a list", put(name, "\n".join(changed).encode()))


def no_cards(kind: str, name: str, good: str) -> Iterator[Case]:
    """Yield files that are no TOML, and bombs."""
    texts: dict[str, bytes] = {
        "a key of 50,000 parts": b".".join([b"a"] * 50_000) + b" = 1",
        "50,000 dotted keys": b"".join(b"a%d.b.c.d = 1\n" % n for n in range(50_000)),
        "50,000 parts in quotes": b".".join([b'"a"'] * 50_000) + b" = 1",
        "a table of 50,000 parts": b"[" + b".".join([b"a"] * 50_000) + b"]",
        "spaces between parts": b" . ".join([b"a"] * 20_000) + b" = 1",
        "lists in lists": b"a = " + b"[" * 20_000,
        "closed lists in lists": b"a = " + b"[" * 20_000 + b"]" * 20_000,
        "spaced lists in lists": b"a = " + b"[ " * 20_000 + b"] " * 20_000,
        "lines of lists in lists": b"a = " + b"[\n" * 20_000 + b"]\n" * 20_000,
        "tables in tables": b"a = " + b"{ a = " * 20_000 + b"1" + b"}" * 20_000,
        "lists and tables in each other": b"a = " + b"[{a=" * 10_000 + b"1" + b"}]" * 10_000,
        "a number of 5,000 digits": b"a = " + b"9" * 5_000,
        "a hexadecimal number": b"version = 0x" + b"f" * 100_000,
        "a text without an end": b'a = """' + b"x" * 100_000,
        "200,000 quotes": b'a = """' + b'""' * 100_000,
        "10,000 dotted keys": b"".join(b"a%d.b.c.d = 1\n" % n for n in range(10_000)),
        "200 kB of one name": b"a" * 200_000 + b" = 1",
        "200 kB of comments": b"#\n" * 100_000,
        "20,000 tables": b"".join(b"[t%d]\n" % n for n in range(20_000)),
        "30,000 items": b"[[t]]\n" * 30_000,
        "JSON": b'{"title": "E"}',
        "UTF-16": good.encode("utf-16"),
        "Latin-1": b'title = "M\xfcller"',
        "a byte order mark": b"\xef\xbb\xbf" + good.encode(),
        "NUL": b"\0" * 1000,
        "a lone surrogate": b'title = "\\ud800"',
        "a surrogate's bytes": b'title = "\xed\xa0\x80"',
        "control codes": b'title = "\x1b[31m"',
        "an escape without an end": b'title = "\\u12',
        "a zip": b"PK\x03\x04" + b"\0" * 100,
    }
    for what, content in texts.items():
        yield Case(f"{kind}/{what}", put(name, content), refused=what != "a byte order mark")
    ending = good.replace("\n", "\r\n").encode()
    yield Case(f"{kind}/line ends of Windows", put(name, ending), refused=False)
    yield Case(f"{kind}/2 MB", put(name, good.encode() + b"#" * 2**21), refused=True)
    yield Case(f"{kind}/1 GB of zeros", holes(name, 2**30), refused=True)


def lecl_cases() -> Iterator[Case]:
    """Yield cards of networks of absurd sizes: their weights would fill the memory."""
    for what, facts in {
        "wide": {"net": "vit", "sizes": "embed_dim = 8000000, depth = 1, num_heads = 1"},
        "deep": {"net": "vit", "sizes": "embed_dim = 192, depth = 1000000000, num_heads = 3"},
        "deep stages": {"net": "gated-cnn", "sizes": "depths = [999999999], dims = [64]"},
        "wide stages": {"net": "vssm", "sizes": "depths = [1], dims = [800000000]"},
        "many states": {
            "net": "vssm",
            "sizes": "depths = [1], dims = [64], ssm_d_state = 1000000000",
        },
        "many stages": {
            "net": "gated-cnn",
            "sizes": f"depths = {[1] * 900}, dims = {[2] * 900}",
        },
        "digits": {"net": "vit", "sizes": f"embed_dim = {8 * 10**3000}, depth = 1, num_heads = 1"},
    }.items():
        width = facts["sizes"].partition("= ")[2].partition(",")[0]
        dim = width if facts["net"] == "vit" else facts["sizes"].rpartition("dims = [")[2]
        text = LECL.format(
            **facts,
            dim=dim.partition("]")[0].partition(",")[0],
            pooling="cls" if facts["net"] == "vit" else "mean",
            size_px=224,
        )
        yield Case(f"sizes/{what}", put("bad.toml", text.encode()), refused=True)


def card_cases() -> Iterator[Case]:
    """Yield every malformed card."""
    for kind, (name, good) in KINDS.items():
        yield from wrong_values(kind, name, good)
        yield from no_cards(kind, name, good)
        yield from no_files(kind, name)
        yield from damaged(kind, name, good.encode(), len(good) - 1)
        yield from more_damage(kind, range(10))
    yield from lecl_cases()


def more_damage(kind: str, seeds: range) -> Iterator[Case]:
    """Yield cards with random damage."""
    name, good = KINDS[kind]
    yield from random_damage(kind, name, good.encode(), len(good), seeds)
