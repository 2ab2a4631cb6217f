"""Published plans of other systems as ours: rows of a corpus in, tools and canonical plans out."""

import json
import re
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

import pytest

from corpora import read, whole
from heddle.plan.canonical import decode, step_from_json
from heddle.plan.findings import Finding
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


# -- GNN4TaskPlan: nodes and links, "<node-3>" ---------------------------------------------------

_NODE = re.compile(r"<node-(\d+)>")


def taskbench_tools(domain):
    """TaskBench's own tools: everything they take and give is text, or a file by its name."""
    listed = read_json("taskbench", f"tools_{domain}.json")
    inputs = {f"input_{n}": {"type": "string"} for n in range(1, 13)}
    parameters = {"type": "object", "properties": inputs}
    return {
        tool["id"]: ToolSpec(tool["id"], parameters=parameters, result={"type": "string"})
        for tool in listed
    }


@dataclass
class Links:
    """The links between nodes, by the names of their tools."""

    after: dict = field(default_factory=dict)
    findings: list = field(default_factory=list)


def gnn4_plan(row):
    """Nodes as steps "0", "1", …; links as `after`. Steps come in an order that the links allow.

    Only what a conversion loses is found here: a link whose name is that of two nodes or whose
    ends are both no node, and a row that cannot be read. The rest is the verifier's to find.
    """
    nodes = row["task_nodes"]
    if not all(isinstance(node.get("arguments", []), list) for node in nodes):
        plan = Plan()
        plan.findings.append(Finding.at(None, "bad-arguments", "arguments must be a list"))
        return plan
    links = _gnn4_links(row)
    plan = plan_of(
        {
            "id": str(place),
            "tool": nodes[place]["task"],
            "args": [_gnn4_value(item) for item in nodes[place].get("arguments", [])],
            "after": links.after.get(str(place), []),
        }
        for place in _gnn4_order(len(nodes), links.after)
    )
    plan.findings += links.findings
    return plan


def _gnn4_links(row):
    places = {}
    for place, node in enumerate(row["task_nodes"]):
        places.setdefault(node["task"], []).append(str(place))
    links = Links()
    for link in row["task_links"]:
        if isinstance(link["target"], list):
            message = f"a link's target must be a name, got {link['target']}"
            links.findings.append(Finding.at(None, "bad-node", message))
            continue
        ends = [places.get(link[end], [link[end]]) for end in ("source", "target")]
        if any(len(end) > 1 for end in ends):
            name = link["source"] if len(ends[0]) > 1 else link["target"]
            links.findings.append(
                Finding.at(None, "ambiguous-link", f'a link names "{name}", which is called twice')
            )
            continue
        (source,), (target,) = ends
        if link["target"] in places:
            links.after.setdefault(target, []).append(source)
        elif link["source"] in places:  # it leads out of the plan: named at the end that is in it
            links.after.setdefault(source, []).append(target)
        else:
            message = f'a link from "{source}" to "{target}" names no step at all'
            links.findings.append(Finding.at(None, "unknown-reference", message))
    return links


def _gnn4_order(count, after):
    graph = {str(place): set() for place in range(count)}
    for target, sources in after.items():
        if target in graph:
            graph[target] = {source for source in sources if source in graph}
    try:
        sorter = TopologicalSorter(graph)
        sorter.prepare()
    except CycleError:
        return list(range(count))
    order = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=int)
        order += [int(name) for name in ready]
        sorter.done(*ready)
    return order


def _gnn4_value(value):
    if isinstance(value, dict):
        return {name: _gnn4_value(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_gnn4_value(item) for item in value]
    if not isinstance(value, str) or not _NODE.search(value):
        return value
    if found := _NODE.fullmatch(value):
        return {"$ref": found[1]}
    pieces = _NODE.split(value)
    return {
        "$template": [
            {"$ref": piece} if place % 2 else piece for place, piece in enumerate(pieces) if piece
        ]
    }


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
