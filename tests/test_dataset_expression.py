"""Conditions as users write them: what they need, what they say of rows, and what is wrong."""

from collections.abc import Callable, Iterator

import pyarrow as pa
import pytest

from clipmill.core.errors import InputError, UserError
from clipmill.dataset.evaluate import Evaluator
from clipmill.dataset.expression import Expression, parse_condition, parse_order, parse_value

STRUCT = pa.struct(
    [("mean", pa.float32()), ("values", pa.list_(pa.float32())), ("status", pa.string())]
)
SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("caption", pa.string()),
        ("probe", pa.struct([("duration_seconds", pa.float64()), ("width", pa.int64())])),
        ("motion", STRUCT),
        ("picture", pa.struct([("black_share", STRUCT)])),
        ("wéird name", pa.int64()),
    ]
)


def test_a_condition_tells_the_columns_it_needs():
    found = parse_condition(
        "motion.mean > 0.3 and Picture.BLACK_share.mean < 0.1 and data.probe.width > 2", SCHEMA
    )
    assert found.columns == (
        ("motion", "mean"),
        ("picture", "black_share", "mean"),
        ("probe", "width"),
    )


def test_a_condition_is_taken_apart_at_its_outermost_ands():
    found = parse_condition(
        "(motion.mean between 0.1 and 0.2 and (key = 'a' or caption = 'x and y')) "
        "and not (motion.mean > 1 and probe.width = 3)",
        SCHEMA,
    )
    assert [part.text for part in found.parts] == [
        "motion.mean BETWEEN 0.1 AND 0.2",
        "(\"key\" = 'a') OR (caption = 'x and y')",
        "NOT ((motion.mean > 1) AND (probe.width = 3))",
    ]


@pytest.fixture(scope="module")
def evaluate() -> Iterator[Callable[[Expression, pa.Table], list[bool | None]]]:
    with Evaluator() as evaluator:
        yield evaluator.evaluate


@pytest.mark.parametrize(
    "text",
    [
        "list_max(motion.values) < 0.1",
        "list_max(list_filter(motion.values, lambda x: x > 0.1)) < 0.1",
        "len([v for v in motion.values if v > 0.1]) = 0",
    ],
)
def test_parameters_of_lambdas_are_no_columns(text):
    assert parse_condition(text, SCHEMA).columns == (("motion", "values"),)


def test_rows_of_a_table_are_judged_with_unknown_ones_apart(evaluate):
    cells = [{"mean": 0.5}, {"mean": float("nan")}, None, {"mean": None}, {"mean": 0.1}]
    table = pa.table({"motion": pa.array(cells, STRUCT), "key": list("abcde")})
    condition = parse_condition("motion.mean > 0.3", table.schema)
    assert evaluate(condition, table) == [True, None, None, None, False]
    assert evaluate(parse_condition("true", table.schema), table) == [True] * 5
    assert evaluate(condition, table.slice(0, 0)) == []


def test_operations_on_the_results_of_many_others_are_no_trouble():
    """A check for NaN at every step would double the work of each: 2 ** 60 of them."""
    condition = parse_condition("+".join(["probe.width * 1.5"] * 60) + " > 1e2", SCHEMA)
    assert len(condition.sql) < 10_000


@pytest.mark.parametrize("text", ["not " * 500 + "true", "+".join(["probe.width"] * 900) + " > 1"])
def test_what_is_nested_too_deeply_is_refused(text):
    with pytest.raises(InputError, match="nested too deeply"):
        parse_condition(text, SCHEMA)


def test_names_and_texts_of_any_alphabet_are_found(evaluate):
    table = pa.table({"wéird name": [1, 2], "caption": ["猫 it's", 'a "b"']})
    found = parse_condition("\"wéird name\" = 1 and caption like '猫 it''s%' -- yes", table.schema)
    assert evaluate(found, table) == [True, False]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("motion.mena > 1", ["Did you mean 'motion.mean'", "  motion.mena > 1\n  ^^^^^^^^^^^"]),
        ("picture.black_shar.mean > 1", ["Did you mean 'picture.black_share'"]),
        (
            "key = 'é' and motoin.mean > 1",
            ["Did you mean 'motion.mean'", f"\n{' ' * 16}^^^^^^^^^^^"],
        ),
        ("duration_seconds > 1", ["Did you mean 'probe.duration_seconds'"]),
        (
            "key = 'a' and\n  capton = 'b'",
            ["Did you mean 'caption'", "    capton = 'b'\n    ^^^^^^"],
        ),
        ("motion.mean.x > 1", ["motion.mean is of type float and has no fields"]),
        ("motion.mean >", ["ends too early", "  motion.mean >\n               ^"]),
        ("motion.mean > > 1", ["syntax error", f"\n{' ' * 16}^"]),
        ("foo(motion.mean) > 1", ["foo does not exist", "  foo(motion.mean) > 1\n  ^"]),
        ("nothing_like_it = 1", ["Columns: key, caption, probe, motion, picture"]),
        ("motion.mean", ["is no condition", "float"]),
        ("key", ["is no condition"]),
        (
            "picture",
            ["'picture' is no condition: it gives a struct. Name one of its fields: black_sh"],
        ),
        (
            "motion > 1",
            ["type a struct and type INTEGER_LITERAL. Name one of its fields: mean, va"],
        ),
        (
            "key = 'é' and motion.mean > 'abc'",
            ["'abc' is compared with a value of type FLOAT, and is none", f"\n{' ' * 30}^^^^^\n"],
        ),
        ("probe.width not in (1, 'x')", ["'x' is compared", f"\n{' ' * 25}^^^"]),
        ("false and motion.mean between '0.5' and 'b'", ["'b' is compared", "^^^"]),
        (
            "key = 'é' and caption = 3",
            ["3 is compared with caption, which is text. Put it in quotes, '3', or write try_"],
        ),
        ("caption not in ('a', 2)", ["2 is compared with caption", f"\n{' ' * 23}^\n"]),
        ("lower(caption) = probe.width", ["which is text. Write try_cast(lower(caption) AS BIG"]),
        ("abs(picture) > 1", ["'abs(a struct)'. Name one of its fields: black_share."]),
        ("", ["empty"]),
        ("count(*) > 1", ["aggregates"]),
        ("unnest(motion.values) > 1", ["UNNEST"]),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text, told):
    with pytest.raises(UserError) as error:
        parse_condition(text, SCHEMA)
    for words in told:
        assert words in f"{error.value}\n"


@pytest.mark.parametrize(
    "text",
    [
        "true; drop table data",
        "true) union select * from data where (true",
        "key in (select key from data)",
        "exists (from '/etc/passwd')",
        "(select content from read_text('/etc/passwd')) is null",
        "row_number() over () > 1",
        "columns('m.*') > 1",
        "getenv('HOME') = 'x'",
        "motion.mean > ?",
        "motion.mean > $limit",
        "select key from data",
        "copy data to '/tmp/x'",
        "key = 'a\0b'",
        "key = 'a\ud800b'",
    ],
)
def test_a_condition_is_about_one_row_and_nothing_else(text):
    with pytest.raises(InputError):
        parse_condition(text, SCHEMA)


def test_values_and_orders_are_parsed_alike():
    assert parse_value("1 / motion.mean", SCHEMA).columns == (("motion", "mean"),)
    order = parse_order("motion.mean desc, key nulls first", SCHEMA)
    assert [way for _, way in order] == ["DESC NULLS LAST", "ASC NULLS FIRST"]
    for text in ("motion.mean desc limit 3", "motion.mean) desc, (key", "1 from data"):
        with pytest.raises(InputError):
            parse_order(text, SCHEMA)
    with pytest.raises(InputError, match="more than one expression"):
        parse_value("1), (2", SCHEMA)


def test_texts_that_say_values_are_compared_as_such(evaluate):
    table = pa.table({"a": pa.array([0.25, 0.75], pa.float32()), "b": ["x", "y"]})
    text = "a > '0.5' and b = 'y' and list_contains(list_transform([b], lambda t: t = 'y'), true)"
    assert evaluate(parse_condition(text, table.schema), table) == [False, True]


def test_a_value_that_cannot_be_worked_out_is_the_users_error(evaluate):
    table = pa.table({"caption": ["1", "x"]})
    with pytest.raises(UserError, match=r"^too dark$"):
        evaluate(parse_condition("error('too dark')::boolean", table.schema), table)
    with pytest.raises(UserError, match="Could not convert string 'x'"):
        evaluate(parse_condition("caption::int = 1", table.schema), table)
