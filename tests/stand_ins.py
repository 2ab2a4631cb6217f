"""Tools that stand in for those that a corpus names: they note each call and invent a result."""

from collections import Counter
from dataclasses import replace

from heddle.plan.spec import ToolSpec
from heddle.tools.function import Tool

_SCALARS = {"string": "text", "integer": 3, "number": 2.5, "boolean": True, "null": None}


class StandIns:
    """One tool for each spec. All are pure, so that nothing but a finding can hold a call back.

    Attributes:
        calls: (tool, arguments) of every call, in the order of the calls.
        tools: pass them to `heddle.execute`.
    """

    def __init__(self, specs):
        self.calls = []
        self.tools = [self._tool(replace(spec, effect="pure")) for spec in specs]

    def _tool(self, spec):
        async def invoke(args):
            self.calls.append((spec.name, args))
            return value_of(spec.result)

        return Tool(spec, invoke, invoke, blocking=False)

    def called(self):
        """How often each tool was called."""
        return Counter(tool for tool, _ in self.calls)


def value_of(schema):
    """Some value that a JSON schema allows; a text where it says nothing."""
    schema = schema or {}
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "array":
        return [value_of(item) for item in schema.get("prefixItems", [schema.get("items")])]
    if schema.get("type") == "object" or "properties" in schema:
        return {name: value_of(item) for name, item in schema.get("properties", {}).items()}
    return _SCALARS.get(schema.get("type"), "text")


def specs_of_calls(plan):
    """A tool for each name that a plan calls: it takes the arguments of its calls, gives a text."""
    taken = {}
    for step in plan.steps:
        taken.setdefault(step.tool, {}).update({name: {} for name in step.args})
    text = {"type": "string"}
    return [
        ToolSpec(name, parameters={"type": "object", "properties": arguments}, result=text)
        for name, arguments in taken.items()
    ]


def calls_of(plan):
    """How often a plan calls each tool."""
    return Counter(step.tool for step in plan.steps)
