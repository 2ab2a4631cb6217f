"""What is kept of a run's plans, so that rows can be made of them later."""

import asyncio

import heddle
from heddle.comparison.questions import Question
from heddle.comparison.traces import MAX_BYTES, trace_of
from heddle.plan.ir import Choose, Input, Item, Plan, Ref, Step, Template
from heddle.testing import ScriptedModel

QUESTION = Question("q1", "Who?", ("Ada",), {"mail": {"to": "Bo"}}, ())


@heddle.tool(effect="pure")
def names() -> list[str]:
    """Two names."""
    return ["Ada", "Bo"]


@heddle.tool(effect="pure")
def letters(count: int) -> str:
    """So many letters."""
    return "x" * count


def traced(*steps, says="said"):
    plan = Plan(list(steps))
    plan.close()
    model = ScriptedModel(says)
    running = heddle.execute(plan, [names, letters], inputs=QUESTION.inputs, model=model)
    result = asyncio.run(running)
    return trace_of("Who? In a word.", QUESTION, result)


def test_the_question_as_it_was_asked_the_types_of_inputs_and_the_plan_are_kept():
    trace = traced(Step("1", "names", note="All of them."))
    assert trace["question"] == "Who? In a word."
    assert (trace["golds"], trace["inputs"]) == (["Ada"], {"mail": "dict"})
    (plan,) = trace["plans"]
    assert plan["plan"]["steps"] == [{"id": "1", "tool": "names", "note": "All of them."}]
    assert trace["steps"] == {"1": {"status": "done", "value": ["Ada", "Bo"]}}


def test_what_a_model_was_asked_is_kept_with_values_in_the_place_of_references():
    context = {"to": Input("mail", ("to",)), "all": Ref("1"), "one": Choose((Ref("1", (1,)),))}
    trace = traced(
        Step("1", "names"),
        Step("2", "llm", {"0": Template(("greet ", Ref("1", (0,)))), "context": context}),
    )
    assert trace["asked"] == [
        {
            "step": "2",
            "instruction": "greet Ada",
            "context": {"to": "Bo", "all": ["Ada", "Bo"], "one": "Bo"},
            "value": "said",
        }
    ]


def test_each_element_of_a_map_was_asked_apart():
    trace = traced(
        Step("1", "names"),
        Step("2", "llm", {"instruction": Template(("greet ", Item()))}, over=Ref("1")),
    )
    assert [call["instruction"] for call in trace["asked"]] == ["greet Ada", "greet Bo"]


def test_values_that_are_too_large_are_said_to_be_left_out():
    trace = traced(
        Step("1", "letters", {"count": MAX_BYTES}),
        Step("2", "llm", {"instruction": "shorten it", "context": Ref("1")}),
    )
    assert trace["steps"]["1"] == {"status": "done", "too_large": True}
    assert trace["asked"] == [{"step": "2", "too_large": True}]


def test_a_step_that_failed_is_kept_with_its_code():
    trace = traced(Step("1", "letters", {"count": Input("mail", ("none",))}))
    assert trace["steps"]["1"] == {"status": "failed", "code": "bad-path"}
