"""What a user's statement may be, and what it may reach.

DuckDB has no rights of users, so each statement is judged before it runs, as DuckDB's own parser
reads it: one SELECT, over the documented views and parts that it names by WITH, with functions
that compute and nothing else. What isn't known here is refused.
"""

import json
import re
from collections.abc import Collection, Iterator
from types import MappingProxyType
from typing import Any

from clearbench.errors import BadQuery, plain_text, suggestion
from clearbench.store.catalogue.functions import TABLE_FUNCTIONS, known

MOST_CHARACTERS = 1_000_000
LONGEST = 800  # characters of a sentence
LONG_WORD = re.compile(r"(\S{60})\S{140,}")
EXPLAIN = re.compile(r"^\s*explain(\s+analyze)?(\s*\([^)]*\))?\s+", re.IGNORECASE)

_OWN_COMMANDS = "features, labels and results are written by their own commands"
_NOT_MADE = "nothing can be made or removed; WITH names a part of a query"
_FIXED = "settings are fixed; limits are options: --timeout, --memory-gb, --temp-gb"
_ONE_STORE = "a query sees one store; --store names it"
_OUT = "-o FILE and --format write an answer"
_NO_EFFECTS = "a query only reads"

# What is said of each kind of statement; a test needs one for every kind that DuckDB has.
REFUSED = MappingProxyType(
    {
        "INSERT": _OWN_COMMANDS,
        "UPDATE": _OWN_COMMANDS,
        "DELETE": _OWN_COMMANDS,
        "MERGE_INTO": _OWN_COMMANDS,
        "CREATE": _NOT_MADE,
        "CREATE_FUNC": _NOT_MADE,
        "ALTER": _NOT_MADE,
        "DROP": _NOT_MADE,
        "COPY": _OUT,
        "EXPORT": _OUT,
        "COPY_DATABASE": _OUT,
        "ATTACH": _ONE_STORE,
        "DETACH": _ONE_STORE,
        "SET": _FIXED,
        "VARIABLE_SET": _FIXED,
        "PRAGMA": _FIXED,
        "LOAD": "extensions are not loaded",
        "EXTENSION": "extensions are not loaded",
        "CALL": _NO_EFFECTS,
        "TRANSACTION": _NO_EFFECTS,
        "VACUUM": "`clearbench store reindex` makes the catalogue again",
        "ANALYZE": "`clearbench store reindex` makes the catalogue again",
        "PREPARE": "write the values into the SELECT",
        "EXECUTE": "write the values into the SELECT",
        "MULTI": "name the values of a PIVOT: PIVOT labels ON label IN ('a', 'b') USING …",
        "EXPLAIN": "write EXPLAIN SELECT …",
        "RELATION": _NO_EFFECTS,
        "LOGICAL_PLAN": _NO_EFFECTS,
        "INVALID": _NO_EFFECTS,
    }
)

NAMES = MappingProxyType(
    {"MULTI": "a PIVOT without its values", "EXPLAIN": "an EXPLAIN of something else"}
)

NODES = frozenset(
    {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
    | {"ORDER_MODIFIER", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "DISTINCT_MODIFIER"}
    | {"ORDER_DEFAULT", "ASCENDING", "DESCENDING"}
)
WRITES = "_QUERY_NODE"  # the end of what WITH can name next to a SELECT: INSERT and its like
SOURCES = frozenset(
    {"BASE_TABLE", "SUBQUERY", "JOIN", "TABLE_FUNCTION", "EXPRESSION_LIST", "EMPTY", "PIVOT"}
    | {"SHOW_REF"}
)
EXPRESSIONS = frozenset(
    {"BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT"}
    | {"FUNCTION", "LAMBDA", "OPERATOR", "POSITIONAL_REFERENCE", "STAR", "SUBQUERY", "TYPE"}
    | {"WINDOW"}
)


def short(text: str) -> str:
    """Return a sentence on one line; what it repeats of a long statement is cut."""
    plain = plain_text(LONG_WORD.sub(r"\1…", text[: 10 * MOST_CHARACTERS]))
    return f"{plain[:LONGEST]}…" if len(plain) > LONGEST else plain


def one_select(connection: Any, sql: str) -> str:
    """Return the statement if it is exactly one SELECT, or EXPLAIN of one; raises BadQuery."""
    kind, statement = _only_statement(connection, _text(sql))
    if kind == "EXPLAIN":
        # EXPLAIN ANALYZE runs its statement, so that must be a SELECT too
        kind, _ = _only_statement(connection, EXPLAIN.sub("", statement))
    if kind != "SELECT":
        raise _not_a_select(kind)
    return statement


def _not_a_select(kind: str) -> BadQuery:
    """Return the error for another kind of statement."""
    name = NAMES.get(kind, kind.replace("_", " "))
    return BadQuery(f"exactly one SELECT is accepted, not {name}; {REFUSED.get(kind, _NO_EFFECTS)}")


def _text(sql: str) -> str:
    """Return SQL that DuckDB can read; raises BadQuery."""
    if len(sql) > MOST_CHARACTERS:
        raise BadQuery(f"{len(sql):,} characters; a statement has at most {MOST_CHARACTERS:,}")
    if "\0" in sql:
        raise BadQuery("the statement has a null byte; remove it")
    try:
        sql.encode()
    except UnicodeEncodeError as error:
        raise BadQuery(
            f"the statement isn't text in UTF-8 (character {error.start + 1}); write it in UTF-8"
        ) from error
    return sql


def _only_statement(connection: Any, sql: str) -> tuple[str, str]:
    """Return the kind and the text of the only statement; raises BadQuery."""
    try:
        statements = connection.extract_statements(sql)
        if len(statements) != 1:
            raise BadQuery(f"exactly one SELECT is accepted, not {len(statements)} statements")
        return statements[0].type.name, str(statements[0].query)
    except ValueError as error:
        if isinstance(error, BadQuery):
            raise
        # a kind that DuckDB's parser has and its Python package doesn't, as UPDATE EXTENSIONS
        return "another kind of statement", sql


def judge(connection: Any, statement: str, views: Collection[str]) -> None:
    """Refuse a statement that reaches anything but these views; raises BadQuery.

    `statement` is what one_select returned.
    """
    [[text]] = connection.execute(
        "SELECT json_serialize_sql(?::VARCHAR, skip_default := true, skip_null := true, "
        "skip_empty := true)",
        [EXPLAIN.sub("", statement)],
    ).fetchall()
    try:
        parsed = json.loads(text)
    except RecursionError as error:
        raise BadQuery("the statement is nested too deeply; WITH can name its parts") from error
    if parsed.get("error"):
        raise BadQuery(short(str(parsed.get("error_message", "DuckDB refuses this statement"))))
    nodes = list(_objects(parsed["statements"]))
    parts = {name.lower() for node in nodes for name in _names_by_with(node)}
    taken = sorted(parts & known().views)
    if taken:
        raise BadQuery(f'WITH can\'t name a part "{taken[0]}": DuckDB has a view of that name')
    for node in nodes:
        _judge_node(node, views, parts)


def _objects(root: Any) -> Iterator[dict[str, Any]]:
    """Yield every object within parsed JSON."""
    rest = [root]
    while rest:
        value = rest.pop()
        if isinstance(value, dict):
            yield value
            rest += value.values()
        elif isinstance(value, list):
            rest += value


def _names_by_with(node: dict[str, Any]) -> list[str]:
    """Return the names of the parts that a SELECT names by WITH."""
    table = node.get("cte_map")
    entries = table.get("map", []) if isinstance(table, dict) else []
    return [str(entry["key"]) for entry in entries]


def _judge_node(node: dict[str, Any], views: Collection[str], parts: Collection[str]) -> None:
    """Judge one object of a parsed statement; raises BadQuery."""
    kind = node.get("type")
    if "class" in node:
        _judge_expression(node)
    elif kind == "BASE_TABLE" or (kind == "SHOW_REF" and "query" not in node):
        _judge_name(node, views, parts)
    elif kind == "TABLE_FUNCTION":
        _judge_table_function(node)
    elif isinstance(kind, str) and kind.endswith(WRITES):
        raise _not_a_select(kind.removesuffix(WRITES))
    elif isinstance(kind, str) and kind not in NODES | SOURCES and not kind.endswith("_INFO"):
        raise BadQuery(f"clearbench doesn't know this form of SQL ({kind}); write it another way")


def _judge_expression(node: dict[str, Any]) -> None:
    """Judge one expression; raises BadQuery."""
    kind = str(node["class"])
    if kind == "PARAMETER":
        raise BadQuery("no values are passed to a statement; write them in place of ? and $")
    if kind not in EXPRESSIONS:
        raise BadQuery(f"clearbench doesn't know this form of SQL ({kind}); write it another way")
    name = str(node.get("function_name", "")).lower()
    if name in known().refused:
        raise BadQuery(f'the function "{name}" is not for queries: it does more than compute')


def _judge_name(node: dict[str, Any], views: Collection[str], parts: Collection[str]) -> None:
    """Judge the name of a table; raises BadQuery."""
    name = str(node.get("table_name", ""))
    path = node.get("qualified_name", {}).get("path", [name])
    whole = short(".".join(map(str, path)))
    alone = len(path) == 1 and not node.get("schema_name") and not node.get("catalog_name")
    if alone and (name.lower() in views or name.lower() in parts):
        return
    shown = ", ".join(view for view in views if not view.startswith("features_"))
    if node["type"] == "SHOW_REF":
        raise BadQuery(f"SHOW is for a view: SHOW scans ({shown}, features_<encoder>)")
    near = suggestion(name[:100], views) if alone else ""
    raise BadQuery(f'no view is called "{whole}"{near} ({shown}, features_<encoder>)')


def _judge_table_function(node: dict[str, Any]) -> None:
    """Judge a table function; raises BadQuery."""
    name = str(node.get("function", {}).get("function_name", "")).lower()
    if name not in TABLE_FUNCTIONS:
        raise BadQuery(
            f'"{short(name)}" is not for queries, which read the views alone; of table functions '
            f"there are {', '.join(sorted(TABLE_FUNCTIONS))}"
        )
