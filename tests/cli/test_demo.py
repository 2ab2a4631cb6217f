"""The demo: what is recorded is true, what is measured is possible, and a terminal survives it."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import heddle
from heddle.cli.demo import brief, multihop, picture, quotes
from heddle.cli.demo.brief import Figures, Lane, lanes, measure, run_brief
from heddle.cli.demo.command import _succeeded
from heddle.cli.demo.quotes import price_tool, quote_service, seeded_prices
from heddle.cli.demo.recordings import Pace, data_text
from heddle.engine.log import EventLog
from heddle.errors import InternalError
from heddle.models.protocol import Message, Request
from heddle.models.replay import ReplayModel, row_from_json
from heddle.tools.builtin.calculator import calculate
from heddle.tools.builtin.search import build_index, search_tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from heddle.engine.result import RunResult

AT_ONCE = Pace(call_s=0.15, first_token_s=0.0, tokens_per_second=1e9)
"""The whole plan is there before the first call has ended."""

STOP_WITHIN_S = 5.0


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data_text(name).splitlines()]


def said(name: str, role: str) -> str:
    """What is recorded for a role, if it is one reply."""
    (row,) = [row for row in rows(name) if row["match"]["role"] == role]
    return "".join(row["chunks"])


def held() -> dict[str, int]:
    """The positions as the question names them."""
    found = re.findall(r"(\d+) ([A-Z]{2,5})\b", brief.QUESTION)
    return {ticker: int(count) for count, ticker in found}


# -- what is recorded ----------------------------------------------------------------------------


def test_the_question_holds_the_nine_shares_that_have_a_price() -> None:
    assert held().keys() == seeded_prices().keys()
    assert len(held()) == 9


def test_the_recorded_answer_is_what_the_prices_say() -> None:
    prices = seeded_prices()
    worth = {ticker: count * prices[ticker] for ticker, count in held().items()}
    total = sum(worth.values())
    change = total - 78_500
    largest = max(worth, key=worth.__getitem__)

    answer = json.loads(said("brief.jsonl", "joiner"))["answer"]

    assert f"${total:,.2f}" in answer
    assert f"up ${change:,.2f} ({change / 78_500:.2%})".replace("%", " %") in answer
    assert f"The largest is {largest}, at ${worth[largest]:,.2f}" in answer


def test_the_recorded_plans_are_clean_and_ask_for_each_share_once() -> None:
    async def nowhere() -> tuple[Any, Any]:
        async with httpx2.AsyncClient() as client:
            return heddle.parse(said("brief.jsonl", "planner"), "llmcompiler"), [
                price_tool("http://127.0.0.1", client),
                calculate,
            ]

    plan, tools = asyncio.run(nowhere())

    assert heddle.check(plan, tools) == []
    asked = [step for step in plan.steps if step.tool == "price"]
    assert [next(iter(step.args.values())) for step in asked] == list(held())
    assert [step.tool for step in plan.steps[9:]] == ["calculate", "calculate"]


def test_the_recorded_hops_are_a_clean_plan(tmp_path: Path) -> None:
    build_index(tmp_path / "index.db", rows("hotpotqa.jsonl"))
    plan = heddle.parse(said("multihop.jsonl", "planner"), "llmcompiler")
    assert heddle.check(plan, [search_tool(tmp_path / "index.db")]) == []


@pytest.mark.parametrize("name", ["brief.jsonl", "multihop.jsonl"])
def test_a_recording_is_a_replay_file(name: str) -> None:
    async def first_reply() -> str:
        model = ReplayModel([row_from_json(row) for row in rows(name)])
        asked = Request((Message("system", "You plan tool calls."),), role="planner")
        return "".join([part async for part in model.stream(asked) if isinstance(part, str)])

    assert asyncio.run(first_reply()) == said(name, "planner")


def test_the_data_is_small_and_its_source_and_licence_stand_beside_it() -> None:
    folder = files("heddle.cli.demo") / "data"
    assert sum(len(entry.read_bytes()) for entry in folder.iterdir()) < 60_000
    readme = data_text("README.md")
    assert "CC BY-SA 4.0" in readme
    assert "hotpotqa.github.io" in readme
    assert all(entry.name in readme for entry in folder.iterdir() if entry.name != "README.md")


# -- the quote service ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def service() -> Iterator[httpx2.Client]:
    """A client of a service that answers at once."""
    with (
        quote_service(0.0) as address,
        httpx2.Client(base_url=address, trust_env=False) as client,
    ):
        yield client


def test_every_seeded_price_is_served_as_it_is(service: httpx2.Client) -> None:
    served = {
        ticker: service.get("/quote", params={"ticker": ticker}).json()["price"]
        for ticker in seeded_prices()
    }
    assert served == seeded_prices()


HOSTILE = ["' OR '1'='1", "AAPL'; DROP TABLE quotes; --", "aapl", "A" * 5_000, "%", "\0", ""]


@given(st.text() | st.sampled_from(HOSTILE))
@settings(deadline=None, max_examples=60)
def test_any_other_ticker_is_refused_by_name_and_harms_nothing(
    service: httpx2.Client, ticker: str
) -> None:
    assume(ticker not in seeded_prices())
    reply = service.get("/quote", params={"ticker": ticker})
    assert reply.status_code == 404
    assert "no quote for" in reply.json()["error"]
    assert service.get("/quote", params={"ticker": "KO"}).status_code == 200


def test_another_path_is_refused(service: httpx2.Client) -> None:
    assert service.get("/quotes").status_code == 404


def test_fifteen_calls_take_as_long_as_one() -> None:
    async def all_at_once(address: str) -> float:
        async with httpx2.AsyncClient(trust_env=False) as client:
            began = time.perf_counter()
            asked = (client.get(f"{address}/quote?ticker=KO") for _ in range(15))
            replies = await asyncio.gather(*asked)
            assert {reply.status_code for reply in replies} == {200}
            return time.perf_counter() - began

    with quote_service(0.2) as address:
        took_s = asyncio.run(all_at_once(address))
    assert 0.2 <= took_s < 2.8  # one after the other they would take 3 s


def test_the_service_stops_at_once_though_a_call_is_under_way(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async def hang_up() -> None:
        with quote_service(600.0) as address:
            async with httpx2.AsyncClient(trust_env=False) as client:
                call = asyncio.create_task(client.get(f"{address}/quote?ticker=KO"))
                await asyncio.wait([call], timeout=0.1)
                call.cancel()
                await asyncio.wait([call])

    began = time.perf_counter()
    asyncio.run(hang_up())
    assert time.perf_counter() - began < STOP_WITHIN_S
    assert capfd.readouterr() == ("", "")


def test_an_unknown_share_fails_its_step_with_a_reason() -> None:
    async def ask() -> RunResult:
        with quote_service(0.0) as address:
            async with httpx2.AsyncClient(trust_env=False) as client:
                plan = heddle.parse('1. price("NONE")\n2. price("KO")\n3. join()', "llmcompiler")
                return await heddle.execute(plan, [price_tool(address, client)])

    failed, done = asyncio.run(ask()).steps
    assert failed.error is not None
    assert (failed.status, failed.error.code) == ("failed", "no-quote")
    assert "no quote for 'NONE'" in failed.error.message
    assert (done.status, done.value) == ("done", seeded_prices()["KO"])


# -- the lanes and their figures -----------------------------------------------------------------


@pytest.fixture(scope="module")
def shown() -> list[tuple[Lane, Figures]]:
    """The three lanes, run once."""
    ran = lanes()
    asyncio.run(run_brief(ran, AT_ONCE))
    return [(lane, measure(_succeeded(lane.result), lane.cap, AT_ONCE.call_s)) for lane in ran]


def test_all_lanes_give_the_recorded_answer(shown: list[tuple[Lane, Figures]]) -> None:
    answer = json.loads(said("brief.jsonl", "joiner"))["answer"]
    assert [_succeeded(lane.result).answer for lane, _ in shown] == [answer] * 3


def test_a_lane_has_as_many_calls_under_way_as_its_cap(shown: list[tuple[Lane, Figures]]) -> None:
    assert [(lane.cap, figures.peak) for lane, figures in shown] == [(1, 1), (5, 5), (9, 9)]


def test_no_lane_is_faster_than_is_possible(shown: list[tuple[Lane, Figures]]) -> None:
    floors = [figures.floor_s / AT_ONCE.call_s for _, figures in shown]
    assert floors == pytest.approx([9, 2, 1])
    for _, figures in shown:
        assert figures.calls == 9
        assert figures.makespan_s >= figures.floor_s
        assert figures.one_by_one_s >= 9 * AT_ONCE.call_s
        assert figures.total_s >= figures.makespan_s


def test_each_lane_is_faster_than_the_one_before(shown: list[tuple[Lane, Figures]]) -> None:
    one, five, nine = (figures.makespan_s for _, figures in shown)
    assert one > five > nine


def test_calls_start_while_the_plan_is_being_written() -> None:
    lane = Lane("slow planner", 9)
    pace = Pace(call_s=0.01, first_token_s=0.0, tokens_per_second=400)
    asyncio.run(run_brief([lane], pace))
    figures = measure(_succeeded(lane.result), 9, pace.call_s)
    assert 0 < figures.first_call_s < figures.planning_s / 2
    assert figures.ahead_s == pytest.approx(figures.planning_s - figures.first_call_s)


def test_floor_of_two_seconds_a_call_at_cap_five_is_four_seconds(
    shown: list[tuple[Lane, Figures]],
) -> None:
    assert measure(_succeeded(shown[1][0].result), 5, 2.0).floor_s == 4.0


def test_a_wrong_price_is_not_covered_by_the_recorded_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong = {**seeded_prices(), "KO": 1.0}
    monkeypatch.setattr(quotes, "seeded_prices", lambda: wrong)
    lane = Lane("wrong", 9)

    asyncio.run(run_brief([lane], Pace().times(100)))

    with pytest.raises(InternalError, match="did not come to its end"):
        _succeeded(lane.result)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20)), max_size=12))
def test_the_peak_is_the_most_spans_over_one_moment(drawn: list[tuple[int, int]]) -> None:
    spans = [(float(start), float(start + length)) for start, length in drawn]
    counted = (sum(start <= moment + 0.5 < end for start, end in spans) for moment in range(41))
    assert brief._peak(spans) == max(counted)


# -- the hops ------------------------------------------------------------------------------------


def test_the_hops_lead_to_the_gold_answer_by_what_search_really_finds() -> None:
    log = EventLog()
    result = asyncio.run(multihop.run_multihop(log, Pace().times(100)))
    first, company, second, state = result.steps
    assert (result.status, result.answer) == ("succeeded", multihop.GOLD)
    assert [hit["title"] for hit in first.value] == ["Bisquick"]
    assert company.value in first.value[0]["text"]
    assert second.value[0]["title"] == company.value == "General Mills"
    assert state.value in second.value[0]["text"]


# -- the program ---------------------------------------------------------------------------------


def program(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "heddle.cli", "demo", *words],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **variables},
    )


def test_plain_output_says_what_is_recorded_and_what_is_measured() -> None:
    done = program("--fast", HTTP_PROXY="http://127.0.0.1:9", ALL_PROXY="http://127.0.0.1:9")
    assert done.returncode == 0, done.stderr
    assert "Replies are recorded" in done.stdout
    assert "9 calls of 0.2 s cannot take less than 1.8 s at cap 1, 0.4 s at cap 5" in done.stdout
    assert "Prices are invented" in done.stdout
    assert "Answer: Minnesota (right; HotpotQA says Minnesota)" in done.stdout
    assert re.search(r"^cap 5: succeeded after \d+\.\d\d s$", done.stderr, re.MULTILINE)
    assert "\x1b" not in done.stdout + done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 88


def test_json_is_one_object_and_the_report_is_a_page(tmp_path: Path) -> None:
    page = tmp_path / "demo.html"
    done = program("--fast", "--json", "--quiet", "--report", str(page))
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert told["replies"] == "recorded"
    assert [lane["cap"] for lane in told["brief"]["lanes"]] == [1, 5, 9]
    for lane in told["brief"]["lanes"]:
        assert lane["figures"]["makespan_s"] >= lane["figures"]["floor_s"]
        assert lane["run"]["status"] == "succeeded"
    assert told["multihop"]["run"]["answer"] == told["multihop"]["gold"]
    assert told["brief"]["lanes"][-1]["run"]["run_id"] in page.read_text("utf-8")


def test_a_report_that_cannot_be_written_is_refused_before_anything_runs(tmp_path: Path) -> None:
    done = program("--report", str(tmp_path / "missing" / "demo.html"))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def on_terminal(*words: str, until: bytes, **variables: str) -> tuple[int, bytes]:
    """Run the program on a terminal of its own and press Ctrl-C when it shows something."""
    child, terminal = pty.fork()
    if not child:
        os.environ.update({"TERM": "xterm-256color", **variables})
        os.execv(sys.executable, [sys.executable, "-m", "heddle.cli", "demo", *words])
    seen, pressed = b"", False
    ends = time.monotonic() + 30
    try:
        while time.monotonic() < ends:
            if not select.select([terminal], [], [], 1)[0]:
                continue
            try:
                seen += os.read(terminal, 65_536)
            except OSError:  # the program has closed its side
                break
            if not pressed and until in seen:
                os.write(terminal, b"\x03")
                pressed = True
    finally:
        if time.monotonic() >= ends:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        os.close(terminal)
    return os.waitstatus_to_exitcode(status), seen


def test_ctrl_c_leaves_a_clean_terminal() -> None:
    status, seen = on_terminal(until="▸".encode())
    assert status == 130
    assert b"\x1b[?25l" in seen  # the cursor was hidden
    assert seen.rfind(b"\x1b[?25h") > seen.rfind(b"\x1b[?25l")  # and shown again
    assert seen.endswith(b"interrupted\r\n")
    assert b"Traceback" not in seen


def test_without_colour_the_picture_still_tells_states_apart() -> None:
    _, seen = on_terminal(until="✓\N{NO-BREAK SPACE}AAPL".encode(), NO_COLOR="1")
    assert "▸\N{NO-BREAK SPACE}MSFT".encode() in seen
    assert not re.search(rb"\x1b\[[0-9;]*3[0-7]m", seen)


def test_without_rich_there_is_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "is_terminal", lambda _: True)
    assert picture._live() is not None
    monkeypatch.setitem(sys.modules, "rich.live", None)
    assert picture._live() is None


def test_a_dumb_terminal_gets_plain_lines() -> None:
    status, seen = on_terminal(until=b"cap 9: plan complete", TERM="dumb")
    assert status == 130
    assert b"\x1b" not in seen
