"""Published plans of other systems as ours: rows of a corpus in, tools and canonical plans out."""

import json
import re

import pytest

from corpora import read, whole
from heddle.plan.canonical import decode, step_from_json
from heddle.plan.dialects import parse
from heddle.plan.ir import Plan
from heddle.plan.spec import ToolSpec


def _folder(name):
    """The folder of a whole corpus; the test is skipped where it is missing."""
    found = whole(name)
    if found is None:
        pytest.skip(f"NOT TESTED: no {name} under HEDDLE_CORPORA")
    return found


def rows(folder, pattern):
    """The rows of some files of a whole corpus."""
    return read(_folder(folder), pattern)


def read_json(folder, name):
    return json.loads((_folder(folder) / name).read_text())


def plan_of(steps, output=None):
    """A plan from steps in canonical JSON."""
    return Plan([step_from_json(step) for step in steps], output=decode(output))


# -- NESTFUL: calls with labels, "$var1.field[0]$" -----------------------------------------------

_TYPES = {"float": "number", "number": "number", "integer": "integer", "int": "integer"}
_TYPES |= {"bool": "boolean", "boolean": "boolean", "string": "string", "str": "string"}
_TYPES |= {"list": "array", "array": "array", "dict": "object", "object": "object"}
_LABEL = re.compile(r"\$([^$.\[\]]+)([^$]*)\$")
_KEY = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")


def nestful_tools(spec):
    """The tools of one file, whichever of the three schema dialects each is written in."""
    return {tool["name"]: _nestful_tool(tool) for tool in spec}


def _nestful_tool(tool):
    listed = next(
        tool[key]
        for key in ("query_parameters", "path_parameters", "parameters", "arguments")
        if key in tool
    )
    required = [name for name, about in listed.items() if about.get("required") is True]
    outputs = tool.get("output_parameters") or {}
    result = {"type": "object", "properties": {k: _nestful_schema(v) for k, v in outputs.items()}}
    return ToolSpec(
        tool["name"],
        description=tool.get("description", ""),
        parameters={
            "type": "object",
            "properties": {name: _nestful_schema(about) for name, about in listed.items()},
            "required": required,
        },
        result=result if outputs else None,
        effect="read",
    )


def _nestful_schema(about):
    if not isinstance(about, dict):
        return {}
    schema = {}
    kind = _TYPES.get(str(about.get("type")).lower())
    if kind:
        schema["type"] = kind
    options = about.get("enum") or about.get("allowed_values")
    if options:
        schema["enum"] = options
    if isinstance(about.get("properties"), dict):
        schema["properties"] = {k: _nestful_schema(v) for k, v in about["properties"].items()}
    if isinstance(about.get("items"), dict):
        schema["items"] = _nestful_schema(about["items"])
    return schema


def nestful_plan(row):
    """The calls as steps named by their labels; the pseudo-call `var_result` is the output."""
    calls = [call for call in row["output"] if call["name"] != "var_result"]
    results = [call["arguments"] for call in row["output"] if call["name"] == "var_result"]
    steps = [
        {"id": call["label"], "tool": call["name"], "args": _nestful_value(call["arguments"])}
        for call in calls
    ]
    return plan_of(steps, _nestful_value(results[0]) if results else None)


def _nestful_value(value):
    if isinstance(value, dict):
        return {name: _nestful_value(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_nestful_value(item) for item in value]
    found = _LABEL.fullmatch(value) if isinstance(value, str) else None
    if found is None or not found[1].startswith("var"):
        return value
    path = [int(m[2]) if m[2] else m[1] for m in _KEY.finditer(found[2])]
    return {"$ref": found[1], **({"path": path} if path else {})}


# -- NesTools: responses numbered over the whole plan, "API_call_2" -------------------------------


def nestools_tools(row):
    return {
        tool["api_name"]: ToolSpec(
            tool["api_name"],
            parameters={
                "type": "object",
                "properties": {k: _nestful_schema(v) for k, v in tool["parameters"].items()},
                "required": tool["required"],
            },
            result={
                "type": "object",
                "properties": {k: _nestful_schema(v) for k, v in tool["responses"].items()},
            },
            effect="read",
        )
        for tool in row["api"]
    }


def nestools_plan(row):
    responses = {tool["api_name"]: list(tool["responses"]) for tool in row["api"]}
    refs, steps = {}, []
    for place, call in enumerate(row["call"]):
        args = {name: _nestools_value(v, refs) for name, v in call["parameters"].items()}
        steps.append({"id": str(place), "tool": call["api_name"], "args": args})
        for label, name in zip(call["responses"], responses[call["api_name"]], strict=False):
            refs[label] = {"$ref": str(place), "path": [name]}
    return plan_of(steps)


def _nestools_value(value, refs):
    if isinstance(value, str):
        return refs.get(value, value)
    if isinstance(value, list):
        return [_nestools_value(item, refs) for item in value]
    if isinstance(value, dict):
        return {name: _nestools_value(item, refs) for name, item in value.items()}
    return value


# -- GNN4TaskPlan: nodes and links, "<node-3>" ----------------------------------------------------


def taskbench_tools(domain):
    """TaskBench's own tools: everything they take and give is text, or a file by its name."""
    listed = read_json("taskbench", f"tools_{domain}.json")
    inputs = {f"input_{n}": {"type": "string"} for n in range(1, 13)}
    parameters = {"type": "object", "properties": inputs}
    return {
        tool["id"]: ToolSpec(tool["id"], parameters=parameters, result={"type": "string"})
        for tool in listed
    }


def gnn4_plan(row):
    """The plan of a row, read from its own text by the dialect."""
    return parse(json.dumps(row), "links")


# -- BFCL: calls with the values that are accepted, or as Python ----------------------------------

_BFCL_TYPES = {"dict": "object", "float": "number", "tuple": "array"}


def bfcl_tools(row):
    """The tools that are offered; a list with no type for its items takes any."""
    return {
        tool["name"]: ToolSpec(
            tool["name"],
            description=tool["description"],
            parameters=_bfcl_schema(tool["parameters"]),
            effect="read",
        )
        for tool in row["function"]
    }


def _bfcl_schema(about):
    schema = {}
    kind = about.get("type", "any")
    if kind != "any":
        schema["type"] = _BFCL_TYPES.get(kind, kind)
    if "enum" in about:
        schema["enum"] = about["enum"]
    if "properties" in about:
        schema["properties"] = {k: _bfcl_schema(v) for k, v in about["properties"].items()}
        schema["required"] = about.get("required", [])
    if "items" in about:
        schema["items"] = _bfcl_schema(about["items"])
    return schema


def bfcl_calls(row):
    """(tool, arguments) of every gold call, with the first value that is accepted of each."""
    tools = {tool["name"]: tool["parameters"]["properties"] for tool in row["function"]}
    return [
        (name, _accepted(args, tools[name]))
        for call in row["ground_truth"]
        for name, args in call.items()
    ]


def _accepted(args, about):
    """An object's first accepted values, without those that may be left out."""
    values = {name: [v for v in accepted if v != ""] for name, accepted in args.items()}
    return {name: _first(v[0], about.get(name, {})) for name, v in values.items() if v}


def _first(value, about):
    if isinstance(value, dict) and "properties" in about:
        return _accepted(value, about["properties"])
    if isinstance(value, list):
        return [_first(item, about.get("items", {})) for item in value]
    return value


def bfcl_python(row):
    """The gold calls as the list of Python calls that the models were asked for."""
    if isinstance(row["ground_truth"][0], str):
        return f"[{', '.join(row['ground_truth'])}]"
    calls = [
        f"{name}({', '.join(f'{key}={value!r}' for key, value in args.items())})"
        for name, args in bfcl_calls(row)
    ]
    return f"[{', '.join(calls)}]"


def toolbench_tools(row):
    return {
        tool["name"]: ToolSpec(
            tool["name"],
            parameters={k: tool["parameters"][k] for k in ("type", "properties", "required")},
            effect="read",
        )
        for tool in row["tools"]
    }


def toolbench_lines(row):
    """The calls as a provider gives them, one a line, the arguments as the text that it sent."""
    return "\n".join(
        json.dumps({"name": call["name"], "arguments": call["arguments_raw"]})
        for call in row["calls"]
    )


# -- MathQA: "add(n1,const_100)|divide(#0,n0)" ---------------------------------------------------

_ARITY = {1: "circle_area square_edge_by_area square_perimeter inverse sqrt circumface square_area"}
_ARITY[1] += " negate floor volume_cube surface_cube factorial log"
_ARITY[2] = "add subtract multiply divide power speed volume_cylinder rectangle_area"
_ARITY[2] += " rectangle_perimeter triangle_area rhombus_area volume_cone"
_ARITY[3] = "quadrilateral_area volume_rectangular_prism"
_CALL = re.compile(r"(\w+)\(([^()]*)\)")
_CONSTANTS = {"const_pi": 3.141592653589793}

MATHQA_TOOLS = {
    name: ToolSpec(
        name,
        parameters={
            "type": "object",
            "properties": {letter: {"type": "number"} for letter in "abc"[:arity]},
            "required": list("abc"[:arity]),
        },
        result={"type": "number"},
        effect="pure",
    )
    for arity, names in _ARITY.items()
    for name in names.split()
}


def mathqa_plan(row):
    """One step for each operation, "0", "1", …; the last one's result is the output."""
    steps = [
        {
            "id": str(place),
            "tool": (call := _CALL.fullmatch(text.strip()))[1],
            "args": [_mathqa_value(item.strip(), row["nums"]) for item in call[2].split(",")],
        }
        for place, text in enumerate(row["linear_formula"].split("|"))
    ]
    return plan_of(steps, {"$ref": str(len(steps) - 1)})


def _mathqa_value(text, nums):
    if text.startswith("#"):
        return {"$ref": text[1:]}
    if text.startswith("n"):
        return nums[int(text[1:])]
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    return float(text.removeprefix("const_").replace("_", "."))
