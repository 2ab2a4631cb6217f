"""The abstraction strategy: a chain is its own answer; several chains vote."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import heddle
from heddle.engine.events import StepStarted, StrategyChosen
from heddle.errors import ModelError
from heddle.plan.limits import Limits
from heddle.testing.clock import run_virtual
from heddle.testing.scripted import ScriptedModel

NUMBERS = {"A": 2.0, "B": 3.5, "C": 2, "text": "2.00", "much": "$1,200", "more": 1200.0, "x": "x"}


@heddle.tool(effect="read", fuse=False)
async def price(ticker: str) -> Any:
    """Latest price in USD; it takes a second."""
    await asyncio.sleep(1)
    return NUMBERS[ticker]


def chain(ticker: str, *, answer: str = "y1") -> str:
    return f'It costs [FUNC price("{ticker}") = y1].\nAnswer: {answer}\n'


def ask(
    replies: Any, *tools: Any, chains: int = 1, **limits: Any
) -> tuple[Any, ScriptedModel, float]:
    model = ScriptedModel(replies)

    async def main() -> tuple[Any, float]:
        bounds = Limits(**limits) if limits else None
        agent = heddle.Agent(
            model, [price, *tools], strategy="abstraction", chains=chains, limits=bounds
        )
        result = await agent.run("What does it cost?")
        return result, asyncio.get_running_loop().time()

    result, seconds = run_virtual(main())
    return result, model, seconds


def vote(*tickers: str) -> tuple[Any, str]:
    """What chains about these come to, and what is said about it."""
    result, _, _ = ask([chain(ticker) for ticker in tickers], chains=len(tickers))
    said = [event for event in result.events if isinstance(event, StrategyChosen)]
    return result.answer, said[-1].reasons[0]


# -- one chain


def test_one_chain_is_one_model_call_and_its_answer_line_is_the_answer() -> None:
    result, model, _ = ask([chain("A", answer="$y1 each")])
    assert (result.status, result.answer) == ("succeeded", "$2.0 each")
    assert len(model.requests) == 1


def test_without_an_answer_line_the_filled_chain_is_the_answer() -> None:
    result, _, _ = ask(['It costs [FUNC price("A") = y1], twice that is [y1 * 2 = y2].'])
    assert result.answer == "It costs 2.0, twice that is 4.0."


def test_of_several_answer_lines_the_last_counts() -> None:
    result, _, _ = ask([chain("A") + "Wait.\nAnswer: twice y1"])
    assert result.answer == "twice 2.0"


def test_tools_start_at_their_symbol_while_the_rest_is_being_written() -> None:
    text = [
        '[FUNC price("A") = y1] and ',
        (5.0, '[FUNC price("B") = y2]\n'),
        "Answer: [y1 + y2 = y3]",
    ]
    result, _, seconds = ask([text])
    starts = [event.at for event in result.events if isinstance(event, StepStarted)]
    assert starts[:2] == [0, 5]
    assert (result.answer, seconds) == ("5.5", 6)


def test_a_reply_without_a_symbol_is_asked_for_again() -> None:
    result, model, _ = ask(["It costs two dollars.", chain("A")])
    assert (result.status, result.answer) == ("succeeded", "2.0")
    assert "holds no step" in model.requests[1].messages[-1].content


# -- several chains


def test_tools_of_one_chain_run_while_the_next_one_is_being_written() -> None:
    def written(_: Any) -> Any:
        return [(2.0, '[FUNC price("A") = y1]\n'), (2.0, "Answer: y1")]

    result, model, seconds = ask(written, chains=5)
    assert len(model.requests) == 5
    assert seconds == 5 * 4.0  # and the call of the last one ends within it
    starts = [event.at for event in result.events if isinstance(event, StepStarted)]
    assert starts == pytest.approx([2, 6, 10, 14, 18])


@pytest.mark.parametrize(
    ("tickers", "answer", "votes"),
    [
        ("ABB", "3.5", "2 of 3 chains come to the answer of chain 2"),
        ("ABA", "2.0", "2 of 3 chains come to the answer of chain 1"),
        ("BA", "3.5", "1 of 2 chains come to the answer of chain 1"),
    ],
)
def test_the_answer_that_most_chains_come_to_is_given_and_of_equals_the_first(
    tickers: str, answer: str, votes: str
) -> None:
    assert vote(*tickers) == (answer, votes)


def test_numbers_that_differ_in_spelling_alone_vote_together() -> None:
    assert vote("B", "A", "C", "text") == ("2.0", "3 of 4 chains come to the answer of chain 2")
    assert vote("B", "much", "more")[1] == "2 of 3 chains come to the answer of chain 2"


def test_what_fails_in_a_chain_that_was_not_elected_is_no_fault_of_the_answer() -> None:
    broken = 'It costs [FUNC price("nobody") = y1].\nAnswer: y1\n'
    result, _, _ = ask([chain("A"), chain("C"), broken], chains=3)
    assert (result.answer, result.status, result.exit_status) == ("2.0", "succeeded", 0)


def test_texts_vote_together_whatever_their_case_and_spaces() -> None:
    replies = [chain("x", answer=f"the {word} y1") for word in ("red", "Blue ", "BLUE", "blue")]
    result, _, _ = ask(replies, chains=4)
    assert result.answer == "the Blue  x"


def test_what_votes_is_the_whole_answer_and_not_its_last_symbol() -> None:
    both = 'Costs [FUNC price("{}") = y1] and [FUNC price("B") = y2].\nAnswer: y1 and y2'
    replies = [both.format("A"), both.format("B"), both.format("B")]
    result, _, _ = ask(replies, chains=3)
    assert result.answer == "3.5 and 3.5"


def test_a_chain_that_comes_to_nothing_does_not_vote() -> None:
    assert vote("nope", "also nope", "B") == ("3.5", "1 of 3 chains come to the answer of chain 3")


def test_a_chain_without_a_symbol_does_not_vote_and_costs_the_others_nothing() -> None:
    result, model, _ = ask(["Two dollars.", chain("B"), chain("B")], chains=3)
    assert (result.answer, len(model.requests)) == ("3.5", 3)


def test_where_no_chain_comes_to_anything_that_is_said() -> None:
    answer, said = vote("nope", "none")
    assert said == "none of 2 chains comes to an answer"
    assert answer is None


def test_where_no_reply_is_a_chain_another_is_asked_for_while_rounds_are_left() -> None:
    replies = ["Hm.", "Hm.", chain("A")]
    result, model, _ = ask(replies, chains=2, max_rounds=3)
    assert (result.answer, len(model.requests)) == ("2.0", 3)
    result, _, _ = ask(replies, chains=2, max_rounds=2)
    assert result.exit_status == 3


def test_chains_that_do_not_come_do_not_vote_but_the_first_has_to_come() -> None:
    error = ModelError("503", code="unavailable", provider="p")
    result, _, _ = ask([chain("A"), chain("A"), [error]], chains=3)
    assert (result.answer, result.status) == ("2.0", "succeeded")
    assert "plan-cut" in [finding.code for finding in result.findings]
    result, _, _ = ask([[error], chain("A")], chains=2)
    assert (result.error.code, result.exit_status) == ("unavailable", 4)


@pytest.mark.parametrize(("chains", "sent"), [(1, ["hello"]), (3, [])])
def test_chains_that_nobody_has_decided_for_change_nothing(chains: int, sent: list[str]) -> None:
    outbox: list[str] = []

    @heddle.tool(effect="write")
    async def send(text: str) -> str:
        """Send a text."""
        outbox.append(text)
        return "ok"

    text = 'Sent: [FUNC send("hello") = y1]\nAnswer: y1'
    result, _, _ = ask([text] * chains, send, chains=chains)
    assert outbox == sent
    if chains > 1:
        assert {step.error.code for step in result.steps} == {"undecided"}
