"""Which functions of DuckDB a user's statement may call: those that compute and nothing else.

A function that isn't known here is refused, so that one that a later DuckDB brings waits for a
person to judge it; a test names it.
"""

from dataclasses import dataclass
from functools import cache

import duckdb


def _words(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


TABLE_FUNCTIONS = frozenset(
    {"generate_series", "json_each", "json_tree", "range", "repeat", "repeat_row", "unnest"}
)

CALLED = ("scalar", "aggregate", "window", "macro")  # kinds that an expression can call

# Functions whose value depends on their arguments alone are accepted, but not these: they plan
# other SQL, or take the bytes inside of DuckDB apart.
REFUSED_FUNCTIONS = frozenset(
    {"json_serialize_plan", "combine", "finalize", "to_aggregate_state", "variant_bytes_to_variant"}
)
INTERNAL = "__internal"

# Of the others, these; they know the time, the time zone, or chance.
TIME_FUNCTIONS = _words("""
    + - age century current_date current_localtime current_localtimestamp date_diff date_part
    date_sub date_trunc datediff datepart datesub datetrunc day dayname dayofmonth dayofweek
    dayofyear decade era generate_series get_current_time get_current_timestamp hour isodow isoyear
    julian last_day make_timestamptz microsecond millennium millisecond minute month monthname now
    quarter range second strftime time_bucket timezone timezone_hour timezone_minute today
    transaction_timestamp week weekday weekofyear year yearweek
""")
CHANCE_FUNCTIONS = frozenset(
    {"error", "gen_random_uuid", "random", "setseed", "uuid", "uuidv4", "uuidv7"}
)
# Macros are written in SQL; these are made of the functions above.
MACROS = _words("""
    ago array_append array_pop_back array_pop_front array_prepend array_push_back
    array_push_front array_reverse array_to_string array_to_string_comma_default assert_true
    date_add days_in_month fdiv generate_subscripts geomean geometric_mean if json json_group_array
    json_group_object json_group_structure list_any_value list_append list_approx_count_distinct
    list_avg list_bit_and list_bit_or list_bit_xor list_bool_and list_bool_or list_count
    list_entropy list_first list_histogram list_kurtosis list_kurtosis_pop list_last list_mad
    list_max list_median list_min list_mode list_prepend list_product list_reverse list_sem
    list_skewness list_stddev_pop list_stddev_samp list_string_agg list_sum list_var_pop
    list_var_samp map_contains_entry map_contains_value md5_number_lower md5_number_upper nullif
    pg_size_pretty pg_typeof regexp_split_to_table split_part variant_group_array wavg
    weighted_avg
""")


@dataclass(frozen=True)
class Known:
    """What this DuckDB has: functions that are refused, and views of its own."""

    refused: frozenset[str]
    views: frozenset[str]


@cache
def known() -> Known:
    """Return what this DuckDB has; extensions are not loaded, so it stays the same."""
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT lower(function_name), function_type, "
            "bool_and(coalesce(stability, 'CONSISTENT') = 'CONSISTENT') "
            "FROM duckdb_functions() GROUP BY ALL"
        ).fetchall()
        views = connection.execute(
            "SELECT lower(view_name) FROM duckdb_views() "
            "WHERE internal AND schema_name <> 'information_schema'"
        ).fetchall()
    # a name may be of several kinds, and all that can be called in an expression count
    called = {name for name, kind, _ in rows if kind in CALLED}
    refused = {
        name
        for name, kind, pure in rows
        if (kind in CALLED or name not in called) and not is_accepted(name, kind, pure=pure)
    }
    return Known(
        refused=frozenset(refused) - TABLE_FUNCTIONS,
        views=frozenset(view for (view,) in views),
    )


def is_accepted(name: str, kind: str, *, pure: bool) -> bool:
    """Return True if an expression may call a function; `kind` and `pure` are DuckDB's words."""
    if name in REFUSED_FUNCTIONS or name.startswith(INTERNAL):
        return False
    if kind == "macro":
        return name in MACROS
    return kind in CALLED and (pure or name in TIME_FUNCTIONS | CHANCE_FUNCTIONS)
