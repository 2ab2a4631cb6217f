"""What a JSON schema says about a value, about another schema, and about a part of itself."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heddle.plan.ir import Choose, Input, Item, Ref, Template
from heddle.plan.schema import DEEPEST, incompatible, mismatch, part, show_path

TEXT, NUMBER, WHOLE = {"type": "string"}, {"type": "number"}, {"type": "integer"}
FLAG, NULL = {"type": "boolean"}, {"type": "null"}
TREE = {
    "$defs": {"t": {"anyOf": [NULL, {"type": "array", "items": {"$ref": "#/$defs/t"}}]}},
    "$ref": "#/$defs/t",
}
STOCK = {
    "type": "object",
    "properties": {"name": TEXT, "days": {"type": "array", "items": {"$ref": "#/$defs/Day"}}},
    "$defs": {"Day": {"type": "object", "properties": {"close": NUMBER}}},
}
BOMB = {
    "$defs": {f"n{i}": {"anyOf": [{"$ref": f"#/$defs/n{i + 1}"}] * 2} for i in range(150)}
    | {"n150": NUMBER},
    "$ref": "#/$defs/n0",
}


def array(items):
    return {"type": "array", "items": items}


def record(**properties):
    return {"type": "object", "properties": properties, "required": list(properties)}


# -- does a value match? -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        ("a", TEXT),
        (5, NUMBER),
        (5, WHOLE),
        (5.0, WHOLE),
        (5.5, NUMBER),
        (True, FLAG),
        (None, NULL),
        ([1, 2.5], array(NUMBER)),
        ((1, 2), array(WHOLE)),
        ({"a": 1, "more": 2}, record(a=NUMBER)),
        ({"a": 1, "b": "x"}, {"properties": {"a": NUMBER}, "additionalProperties": TEXT}),
        ("b", {"enum": ["a", "b"]}),
        (1.0, {"const": 1}),
        (None, {"anyOf": [NUMBER, NULL]}),
        ("x", {"type": ["string", "null"]}),
        (1, {"oneOf": [TEXT, NUMBER]}),
        (3, {"allOf": [NUMBER, {"minimum": 3}, {"maximum": 3}]}),
        (["a", 1, True], {"prefixItems": [TEXT, NUMBER], "items": FLAG}),
        ([[None], []], TREE),
        ("not evaluated", {"type": "string", "pattern": "^(a+)+$"}),
        (object(), {}),
        (1, {"type": "something of a later draft", "unheard": ["of"]}),
        ("x", {"$ref": "https://example.org/elsewhere.json"}),
    ],
)
def test_a_value_that_matches(value, schema):
    assert mismatch(value, schema) is None


@pytest.mark.parametrize(
    ("value", "schema", "reason"),
    [
        ("3", WHOLE, "must be a whole number, got text '3'"),
        (5.5, WHOLE, "must be a whole number, got the number 5.5"),
        (True, NUMBER, "must be a number, got true"),
        (1, FLAG, "must be true or false, got the number 1"),
        (None, TEXT, "must be text, got null"),
        ([1, "2"], array(NUMBER), "[1] must be a number, got text '2'"),
        ({"a": {"b": [0]}}, record(a=record(b=array(TEXT))), "a.b[0] must be text, got the number"),
        ({}, record(a=NUMBER), 'must have "a"'),
        ({"b": 1}, {"properties": {"a": NUMBER}, "additionalProperties": False}, 'not have "b"'),
        ({"b": 1}, {"additionalProperties": TEXT}, "b must be text"),
        ("c", {"enum": ["a", "b"]}, "must be one of 'a', 'b', got text 'c'"),
        (True, {"const": 1}, "must be 1, got true"),
        (True, {"enum": [1, 2]}, "must be one of 1, 2, got true"),
        ("x", {"anyOf": [NUMBER, NULL]}, "must be a number or null, got text 'x'"),
        ({"a": "x"}, {"anyOf": [NULL, record(a=NUMBER)]}, "a must be a number, got text 'x'"),
        (1, {"oneOf": [NUMBER, WHOLE]}, "matches 2"),
        (2, {"allOf": [NUMBER, {"minimum": 3}]}, "must be at least 3, got the number 2"),
        (4, {"exclusiveMaximum": 4}, "must be less than 4"),
        ("ab", {"minLength": 3}, "must have at least 3 characters"),
        ([1, 2], {"maxItems": 1}, "must have at most 1 items, got a list of 2"),
        ([1, 2], {"prefixItems": [NUMBER], "items": False}, "at most 1 item, got 2"),
        (["x"], {"prefixItems": [NUMBER]}, "[0] must be a number"),
        ([[3]], TREE, "[0][0] must be null or a list"),
        ({"a": 1}, {"properties": {"a": False}}, "a must not be given"),
        ({1, 2}, TEXT, "got a set, which is not JSON"),
        ("x", BOMB, "must be a number"),
    ],
)
def test_a_value_that_does_not_match_says_where_and_why(value, schema, reason):
    assert reason in (mismatch(value, schema) or "")


@pytest.mark.parametrize("node", [Ref("1"), Item(), Input("m"), Template(("a",)), Choose(())])
def test_nodes_are_skipped_wherever_they_stand(node):
    schema = record(a=NUMBER, b=array(WHOLE), c={"enum": [[1], [2]]})
    assert mismatch(node, NUMBER) is None
    assert mismatch({"a": node, "b": [1, node], "c": [node]}, schema) is None
    assert mismatch({"a": node, "b": ["x", node], "c": [node]}, schema) is not None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)


def schema_of(value):
    """The narrowest schema of a value, without `const`."""
    if isinstance(value, list):
        return {"type": "array", "prefixItems": [schema_of(item) for item in value]}
    if isinstance(value, dict):
        properties = {name: schema_of(item) for name, item in value.items()}
        return {**record(**properties), "additionalProperties": False}
    names = {bool: "boolean", int: "integer", float: "number", str: "string"}
    return {"type": names.get(type(value), "null")}


def parts_of(value, path=()):
    yield path, value
    if isinstance(value, (list, dict)):
        for key, item in enumerate(value) if isinstance(value, list) else value.items():
            yield from parts_of(item, (*path, key))


@given(json_values)
def test_every_value_matches_its_own_schema_and_each_part_its_own_part(value):
    schema = schema_of(value)
    for path, item in parts_of(value):
        found = part(schema, path)
        assert found is None or mismatch(item, found) is None


@given(json_values, json_values)
def test_what_can_never_fit_is_never_matched(value, other):
    """If some value of a result's schema matches what is wanted, the two are compatible."""
    result, wanted = schema_of(value), schema_of(other)
    if mismatch(value, wanted) is None:
        assert incompatible(result, wanted) is None
        assert incompatible({"anyOf": [NULL, result]}, wanted) is None


@given(
    json_values,
    st.dictionaries(
        st.sampled_from(["type", "enum", "anyOf", "items", "properties", "required", "$ref"]),
        json_values,
    ),
    st.lists(st.text(max_size=3) | st.integers(-2, 3), max_size=3),
)
def test_a_schema_that_is_no_schema_breaks_nothing(value, schema, path):
    assert mismatch(value, schema) is None or schema
    assert incompatible(schema, schema) is None or schema
    with suppress(KeyError):
        assert part(schema, tuple(path)) is None or schema


def test_a_value_deeper_than_can_be_judged_is_refused_and_not_trusted():
    value = None
    for _ in range(DEEPEST):
        value = [value]
    assert "nests too deep" in (mismatch(value, TREE) or "")
    assert mismatch(value, {"type": "array"}) is None


def test_a_schema_that_leads_only_to_itself_asks_nothing():
    loop = {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}
    assert mismatch(1, loop) is None
    assert incompatible(loop, NUMBER) is None
    assert incompatible(NUMBER, loop) is None
    assert part(loop, ("a",)) is None


# -- can a result ever fit? ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "wanted"),
    [
        (WHOLE, NUMBER),
        (NUMBER, WHOLE),
        (TEXT, {"enum": ["a", "b"]}),
        ({"anyOf": [TEXT, NUMBER]}, NUMBER),
        (NUMBER, {"anyOf": [TEXT, NUMBER]}),
        ({}, NUMBER),
        (NUMBER, {}),
        ({"type": "array"}, array(NUMBER)),
        (record(a=NUMBER), record(a=WHOLE, b=TEXT)),
        ({"const": 3}, NUMBER),
        ({"enum": ["x", 3]}, NUMBER),
        (TREE, TREE),
        (BOMB, BOMB),
    ],
)
def test_a_result_that_may_fit(result, wanted):
    assert incompatible(result, wanted) is None


@pytest.mark.parametrize(
    ("result", "wanted", "reason"),
    [
        (TEXT, NUMBER, "it is text, and a number is wanted"),
        (FLAG, NUMBER, "it is true or false, and a number is wanted"),
        ({"anyOf": [TEXT, NULL]}, NUMBER, "it is text or null, and a number is wanted"),
        (array(TEXT), array(NUMBER), "in its items, it is text, and a number is wanted"),
        (record(a=TEXT), record(a=NUMBER), 'in its "a", it is text'),
        ({**record(a=TEXT), "additionalProperties": False}, record(b=TEXT), 'it has no "b"'),
        ({"enum": ["x", "y"]}, {"enum": ["z"]}, "it must be one of 'z'"),
        ({"anyOf": [array(TEXT), array(FLAG)]}, array(NUMBER), "in its items"),
        ({"allOf": [TEXT]}, NUMBER, "it is text"),
        (TREE, NUMBER, "it is null or a list, and a number is wanted"),
        (TEXT, BOMB, "a number is wanted"),
    ],
)
def test_a_result_that_can_never_fit_says_why(result, wanted, reason):
    assert reason in (incompatible(result, wanted) or "")


# -- what is at a path? --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "path", "found"),
    [
        (STOCK, ("name",), TEXT),
        (STOCK, ("days", 3, "close"), NUMBER),
        ({"type": "object"}, ("any", "thing"), None),
        ({}, ("a", 0), None),
        ({"additionalProperties": NUMBER}, ("a",), NUMBER),
        ({**record(a=TEXT), "additionalProperties": True}, ("b",), None),
        ({"prefixItems": [TEXT], "items": NUMBER}, (0,), TEXT),
        ({"prefixItems": [TEXT], "items": NUMBER}, (7,), NUMBER),
        ({"anyOf": [NULL, record(a=TEXT)]}, ("a",), TEXT),
        ({"const": {"a": [5]}}, ("a", 0), {"const": 5}),
        (BOMB, (), None),
    ],
)
def test_a_part_of_a_schema(schema, path, found):
    if found is None and path == ():
        assert part(schema, path) is not None
    else:
        assert part(schema, path) == found


@pytest.mark.parametrize(
    ("schema", "path", "reason"),
    [
        (STOCK, ("nmae",), 'it has no "nmae"; it has "name", "days"'),
        (STOCK, (0,), "it is an object and has no part [0]"),
        (STOCK, ("name", "first"), "it is text"),
        (STOCK, ("days", "close"), "it is a list"),
        (STOCK, ("days", -1), "count from 0"),
        ({"prefixItems": [TEXT], "items": False}, (1,), "at most 1 item"),
        ({"type": "array", "maxItems": 2}, (2,), "at most 2 items"),
        ({"anyOf": [NULL, TEXT]}, ("a",), "it is null"),
        ({"const": {"a": 5}}, ("b",), "no part b"),
        (BOMB, ("a",), "it is a number"),
    ],
)
def test_a_part_that_cannot_be(schema, path, reason):
    with pytest.raises(KeyError) as caught:
        part(schema, path)
    assert reason in caught.value.args[0]


def test_a_part_keeps_the_definitions_that_it_refers_to():
    days = part(STOCK, ("days",))
    assert days is not None
    assert mismatch([{"close": "x"}], days) == "[0].close must be a number, got text 'x'"
    assert incompatible(days, array(NUMBER)) is not None
    assert part(days, (0, "close")) == NUMBER


def test_messages_are_safe_to_print():
    for hostile in ("\x1b[2J", "\ud800", "a" * 10_000):
        for text in (
            mismatch(hostile, NUMBER),
            mismatch({hostile: 1}, {"additionalProperties": False}),
            mismatch({hostile: 1}, {"additionalProperties": TEXT}),
            show_path((hostile,)),
        ):
            assert text is not None
            assert text.isprintable()
            assert len(text) < 200
