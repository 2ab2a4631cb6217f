"""The report page: what it says of a run, what it can never do, how large it may become."""

from __future__ import annotations

import asyncio
import os
import stat
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from report_reading import Element, assert_inert, read
from report_specimens import Diary, of_shape, portfolio, rejected, troubled

import heddle
from heddle.engine import events as ev
from heddle.engine.result import RunError, RunResult
from heddle.plan.findings import Finding
from heddle.plan.ir import Hole, Plan, Ref, Step
from heddle.web import report_html, write_report

if TYPE_CHECKING:
    from pathlib import Path

ATTACKS = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<ScRiPt SrC=//evil.example/x.js></sCrIpT>",
    "<img src=x onerror=alert(1)>",
    "<img/src='x'/onerror=alert(1)//",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "</svg><script>alert(1)</script>",
    "<svg><a xlink:href='javascript:alert(1)'><text>x</text></a></svg>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    "<svg><use href='data:image/svg+xml,<svg id=x onload=alert(1)>#x'/></svg>",
    "<svg><foreignObject><iframe src=javascript:alert(1)></foreignObject></svg>",
    "<svg><set attributeName=onmouseover to=alert(1)>",
    "</title><script>alert(1)</script>",
    "</desc><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "</textarea><script>alert(1)</script>",
    "<style>@import '//evil.example/x.css';</style>",
    "<style>body{background:url(//evil.example/x)}</style>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<base href=//evil.example/>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<iframe src=javascript:alert(1)></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data=javascript:alert(1)></object>",
    "<embed src=javascript:alert(1)>",
    "<form action=//evil.example><button>go</button></form>",
    "<button formaction=javascript:alert(1)>x</button>",
    "<input autofocus onfocus=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<body onload=alert(1)>",
    "<video><source onerror=alert(1)></video>",
    "<marquee onstart=alert(1)>",
    "<math><mi xlink:href='javascript:alert(1)'>x</mi></math>",
    "<math><mtext></p><style><!--</style><img title='--><img src=x onerror=alert(1)>'>",
    "<a href='javascript:alert(1)'>x</a>",
    "<a href='jav&#x09;ascript:alert(1)'>x</a>",
    "<template><script>alert(1)</script></template>",
    "<noscript><p title='</noscript><script>alert(1)</script>'>",
    "<!--><script>alert(1)</script-->",
    "--><script>alert(1)</script><!--",
    "<![CDATA[><script>alert(1)</script>]]>",
    "<?xml version='1.0'?><script>alert(1)</script>",
    "' onmouseover='alert(1)",
    '" onmouseover="alert(1)" x="',
    '"><script>alert(1)</script>',
    "'><script>alert(1)</script>",
    "` onmouseover=alert(1) `",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "\x00<script\x00>alert(1)</script>",
    "<\u200bscript>alert(1)</script>",
    "\ud83d<script>alert(1)</script>",
    "+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
    "{{constructor.constructor('alert(1)')()}}",
    "\u202e>tpircs/<)1(trela>tpircs<",
]


def hostile(word: str) -> RunResult:
    """A run in which one text stands wherever tools, models or users can put one."""
    diary = Diary(word)
    diary.plan(
        0.0,
        Step("1" + word, word, {word: word, "list": [{word: word}]}, note=word),
        Step("2", word, {"x": Ref("1" + word, (word, 0))}, after=("1" + word,), default=word),
    )
    diary.accept(0.0)
    diary.ran("1" + word, 0.0, 0.1, 0.2, {word: [word]})
    diary.failed("2", 0.2, 0.2, 0.3, word, word)
    diary.asked("planner" + word, 0.0, 0.1, 0.2, word)
    finding = Finding(word, "error", word, word, 1, 1, word, word)
    result = diary.result(word, RunError(word, word, word), findings=[finding])
    result.plans.append(Plan([Hole("9" + word, word, (finding,))], round=2))
    return result


def words(page: str) -> str:
    return " ".join(read(page).text.split())


def section(page: str, name: str) -> Element:
    return next(
        element for element in read(page).all("section") if element.children[0].text == name
    )


class TestWhatItSays:
    def test_the_answer_the_status_and_the_time_stand_at_the_head(self) -> None:
        root = read(report_html(portfolio()))
        (head,) = root.all("header")
        assert head.text.split() == ["heddleRun", "7d0c5b2a91ef✓", "succeeded", "in", "3.07", "s"]
        assert "€62,361.65" in section(report_html(portfolio()), "The answer").text

    def test_the_proof_is_one_line_of_measured_figures(self) -> None:
        result = portfolio()
        said = words(report_html(result))
        times = result.timing.sequential_s / result.timing.makespan_s
        assert "22 steps in 1.85 s; one by one they would have taken 9.95 s" in said
        assert f"(measured, {times:.1f}× as long); critical path 1.29 s; lower bound" in said

    def test_tokens_and_cost_are_shown(self) -> None:
        said = section(report_html(portfolio()), "The proof").text
        assert "Model calls2" in said
        assert "Input tokens3,680" in said
        assert "of them cached2,048" in said
        assert "Cost$0.0042" in said
        assert "estimated" not in said

    def test_an_unknown_price_is_not_a_price_of_zero(self) -> None:
        assert "price not known" in section(report_html(troubled()), "The proof").text

    def test_estimated_tokens_are_marked(self) -> None:
        result = portfolio()
        usage = replace(result.usage, estimated=True)
        said = section(report_html(replace(result, usage=usage)), "The proof").text
        assert "Input tokens3,680 (estimated)" in said
        assert "Cost$0.0042 (estimated)" in said

    def test_every_step_has_a_row_in_plan_order(self) -> None:
        result = troubled()
        rows = section(report_html(result), "The steps").all("tbody")[0].children
        assert [row.children[0].text.split()[0] for row in rows] == [s.id for s in result.steps]

    def test_arguments_show_their_references(self) -> None:
        marked = section(report_html(portfolio()), "The steps").all("var")
        assert {"$10.AAPL", '$10["NOVO-B"]', "$20", "$21.mid"} <= {hit.text for hit in marked}

    def test_a_failed_step_shows_code_and_message(self) -> None:
        said = section(report_html(troubled()), "The steps").text
        assert "✕ failedtimed-outno answer for 1 s from example.org" in said

    @pytest.mark.parametrize(
        ("status", "icon"),
        [("failed", "✕"), ("skipped", "»"), ("cancelled", "⊘"), ("denied", "⊖"), ("unknown", "?")],
    )
    def test_no_status_is_told_by_colour_alone(self, status: str, icon: str) -> None:
        page = report_html(troubled())
        assert f"{icon} {status}" in section(page, "The steps").text
        assert icon in section(page, "The plan").text
        assert icon in section(page, "The timeline").text

    def test_a_hole_shows_the_line_and_its_finding(self) -> None:
        page = report_html(troubled())
        assert "9. search(who[, 3)" in section(page, "The steps").text
        assert "9:14" in section(page, "Findings").text

    def test_a_retried_step_has_a_bar_for_each_attempt(self) -> None:
        (svg,) = section(report_html(troubled()), "The timeline").all("svg")
        row = next(group for group in svg.all("g") if group.text.startswith("2: search"))
        kinds = [bar.attributes["class"] for bar in row.all("rect")]
        assert kinds == ["hit", "bar s-failed", "bar s-done"]

    def test_attempts_that_only_touch_are_two_bars(self) -> None:
        diary = Diary()
        diary.plan(0.0, Step("1", "a"))
        diary.put(
            ev.StepReady(0.0, "1"), ev.StepStarted(0.0, "1", 1),
            ev.StepError(1.0, "1", 1, "http-503", ""), ev.StepStarted(1.0, "1", 2),
            ev.StepResult(2.0, "1", 2, 1), ev.StepEnded(2.0, "1", "done"),
        )  # fmt: skip
        (svg,) = section(report_html(diary.result()), "The timeline").all("svg")
        bars = [bar for bar in svg.all("rect") if bar.attributes["class"] != "hit"]
        assert [bar.attributes["class"] for bar in bars] == ["bar s-failed", "bar s-done"]

    def test_elements_of_a_map_that_overlap_are_one_bar(self) -> None:
        diary = Diary()
        diary.plan(0.0, Step("1", "a", over=[1, 2]))
        diary.put(
            ev.StepReady(0.0, "1"), ev.MapExpanded(0.0, "1", 2, ""),
            ev.StepStarted(0.0, "1", 1, 0), ev.StepStarted(0.5, "1", 1, 1),
            ev.StepResult(1.0, "1", 1, 1, 0), ev.StepResult(2.0, "1", 1, 1, 1),
            ev.StepEnded(2.0, "1", "done"),
        )  # fmt: skip
        page = report_html(diary.result())
        bars = section(page, "The timeline").all("svg")[0].all("rect")
        assert [bar.attributes["class"] for bar in bars] == ["hit", "bar s-done"]
        assert "map of 2" in section(page, "The plan").text

    def test_an_edge_beside_the_critical_path_is_not_on_it(self) -> None:
        before: list[tuple[int, ...]] = [(), (0,), (0, 1)]
        (svg,) = section(report_html(of_shape(before)), "The plan").all("svg")
        plain, marked = (path.attributes for path in svg.children[2:4])
        assert (plain["class"], plain["d"].count("C")) == ("thread", 2)
        assert (marked["class"], marked["d"].count("C")) == ("thread critical", 2)

    def test_queue_and_run_are_told_apart(self) -> None:
        (svg,) = section(report_html(portfolio()), "The timeline").all("svg")
        row = next(group for group in svg.all("g") if group.text.startswith("8: price"))
        queue, run = (bar for bar in row.all("rect") if "bar" in bar.attributes["class"])
        assert queue.attributes["class"] == "bar queue"
        end = float(queue.attributes["x"]) + float(queue.attributes["width"])
        assert end == pytest.approx(float(run.attributes["x"]), abs=0.11)
        assert "waited 0.210 s for a slot" in " ".join(row.text.split())

    def test_model_calls_are_on_the_same_clock(self) -> None:
        (svg,) = section(report_html(portfolio()), "The timeline").all("svg")
        rows = [group for group in svg.all("g") if "call" in group.attributes["class"]]
        assert [row.text.split(":")[0] for row in rows] == ["planner", "joiner"]
        assert "first token after 0.360 s" in " ".join(rows[0].text.split())

    def test_the_critical_path_is_marked_in_graph_timeline_and_table(self) -> None:
        page = report_html(portfolio())
        for name in ("The plan", "The timeline"):
            marked = [
                group.all("title")[0].text.split(":")[0]
                for group in section(page, name).all("g")
                if "critical" in group.attributes["class"].split()
            ]
            assert sorted(marked) == ["18", "20", "22", "8"], name
        rows = section(page, "The steps").all("tbody")[0].children
        assert [row.children[0].text.split()[0] for row in rows if "◆" in row.text] == [
            "8", "18", "20", "22",
        ]  # fmt: skip

    def test_rounds_are_listed_only_if_there_were_several(self) -> None:
        said = section(report_html(troubled()), "The rounds").text
        assert "the page did not load; try another source" in said
        assert "The rounds" not in words(report_html(portfolio()))

    def test_long_values_fold_and_very_long_ones_are_cut(self) -> None:
        diary = Diary()
        diary.plan(0.0, Step("1", "read"))
        diary.ran("1", 0.0, 0.0, 0.1, "x" * 1_000_000)
        page = report_html(diary.result())
        (details,) = section(page, "The steps").all("details")
        assert "cut at 4,096 characters" in details.text
        assert len(page) < 60_000

    def test_a_value_that_is_very_deep_or_wide_is_cut_too(self) -> None:
        deep: list[object] = []
        for _ in range(100_000):
            deep = [deep]
        diary = Diary()
        diary.plan(0.0, Step("1", "read"), Step("2", "read"))
        diary.ran("1", 0.0, 0.0, 0.1, deep)
        diary.ran("2", 0.0, 0.0, 0.1, list(range(1_000_000)))
        assert report_html(diary.result()).count("cut at 4,096 characters") == 2


class TestRunsWithLittleInThem:
    def test_an_empty_run(self) -> None:
        page = report_html(Diary().result())
        assert_inert(page)
        assert "No step was run." in words(page)
        assert "There is no answer." in words(page)

    def test_a_run_without_events(self) -> None:
        page = report_html(replace(portfolio(), events=[]))
        assert_inert(page)
        assert "22 steps in" in words(page)

    def test_a_rejected_plan_shows_its_findings_and_its_steps(self) -> None:
        page = report_html(rejected())
        assert "2:10" in section(page, "Findings").text
        assert "did you mean $1?" in section(page, "Findings").text
        assert "Nothing of this plan was run." in section(page, "The plan").text
        assert "$7" in section(page, "The steps").text

    def test_a_rejected_plan_with_a_circle_and_double_ids_can_be_drawn(self) -> None:
        result = rejected()
        result.plans[0] = Plan(
            [Step("1", "a", {"x": Ref("2")}), Step("2", "a", {"x": Ref("1")}), Step("2", "b"),
             Step("3", "a", {"x": Ref("3")})]
        )  # fmt: skip
        rows = section(report_html(result), "The steps").all("tbody")[0].children
        assert len(rows) == 4

    def test_a_run_that_is_still_going(self) -> None:
        diary = Diary()
        diary.plan(0.0, Step("1", "a"), Step("2", "b", {"x": Ref("1")}))
        diary.ran("1", 0.0, 0.0, 1.0)
        diary.put(ev.StepReady(1.0, "2"))
        diary.put(ev.StepStarted(1.0, "2", 1))
        assert "▸ running" in section(report_html(diary.result()), "The steps").text


class TestItIsInert:
    @pytest.mark.parametrize("attack", ATTACKS)
    def test_a_hostile_text_stays_text_wherever_it_stands(self, attack: str) -> None:
        root = assert_inert(report_html(hostile(attack)))
        plain = assert_inert(report_html(hostile("plain")))
        assert _outline(root) == _outline(plain)

    @pytest.mark.parametrize("first", range(0, len(ATTACKS), 8))
    def test_they_stay_text_in_a_large_run_too(self, first: int) -> None:
        attacks = ATTACKS[first : first + 8]
        result = of_shape([()] + [(0,)] * 520, tools=attacks, value=attacks)
        assert_inert(report_html(result))

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.text(st.characters(), min_size=1, max_size=30))
    def test_any_text_at_all(self, word: str) -> None:
        page = report_html(hostile(word))
        page.encode()
        assert _outline(assert_inert(page)) == _outline(read(report_html(hostile("plain"))))

    def test_a_policy_forbids_what_the_page_never_does(self) -> None:
        policy = next(
            meta.attributes["content"]
            for meta in read(report_html(portfolio())).all("meta")
            if meta.attributes.get("http-equiv") == "Content-Security-Policy"
        )
        assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")

    def test_there_is_no_address_in_the_page_itself(self) -> None:
        assert "://" not in report_html(portfolio())

    @pytest.mark.parametrize("hidden", ["\u202e", "\u2066", "\u200b", "\x1b", "\x85", "\ufeff"])
    def test_characters_that_hide_or_reorder_are_shown_by_number(self, hidden: str) -> None:
        page = report_html(hostile(f"a{hidden}b"))
        assert hidden not in page
        assert f"a⟦U+{ord(hidden):04X}⟧b" in page


def _outline(root: Element) -> list[str]:
    """The names of all elements, in order, but those of folded values, which depend on length."""
    loose = {"details", "summary", "pre", "code", "p", "var"}
    out: list[str] = []
    stack = [root]
    while stack:
        element = stack.pop()
        out += [element.name] if element.name not in loose else []
        stack += element.children
    return out


class TestItsSize:
    @pytest.mark.parametrize(
        "before",
        [
            [()] * 10_000,
            [(), *((n,) for n in range(9_999))],
            [(), *((0,) for _ in range(9_998)), tuple(range(9_999))],
            [tuple(range(max(0, n - 3), n - n % 2)) for n in range(10_000)],
        ],
        ids=["fan-out", "chain", "fan-in", "lattice"],
    )
    def test_ten_thousand_steps_make_a_page_that_opens(self, before: list[tuple[int, ...]]) -> None:
        result = of_shape(before, tools=["price", "search", "add"], value="x" * 900)
        started = perf_counter()
        page = report_html(result)
        assert perf_counter() - started < 20  # it takes about one; other work may share the machine
        assert len(page.encode()) < 2_000_000
        said = words(page)
        assert "10,000 steps are too many to draw one by one" in said
        assert "10,000 steps are too many for a row each" in said
        assert "1,000 of 10,000 steps are listed" in said

    def test_the_steps_that_failed_are_listed_wherever_they_stand(self) -> None:
        result = of_shape([()] * 5_000)
        failed = {step.id for step in result.steps if step.status == "failed"}
        rows = section(report_html(result), "The steps").all("tbody")[0].children
        assert len(rows) == 1_000
        assert failed <= {row.children[0].text.split()[0] for row in rows}

    def test_many_tools_share_rows_and_boxes(self) -> None:
        result = of_shape([()] * 600, tools=[f"tool{n}" for n in range(60)])
        page = report_html(result)
        assert "37 more tools" in section(page, "The timeline").text
        assert "53 tools" in section(page, "The plan").text

    @pytest.mark.parametrize(("steps", "rows"), [(500, 500), (501, 1)])
    def test_there_is_a_row_for_each_step_up_to_a_bound(self, steps: int, rows: int) -> None:
        (svg,) = section(report_html(of_shape([()] * steps)), "The timeline").all("svg")
        assert len(svg.all("g")) == rows

    @pytest.mark.parametrize(("steps", "boxes"), [(200, 200), (201, 11)])
    def test_there_is_a_box_for_each_step_up_to_a_bound(self, steps: int, boxes: int) -> None:
        before = [() if n < 20 else (n - 20,) for n in range(steps)]
        (svg,) = section(report_html(of_shape(before)), "The plan").all("svg")
        assert len(svg.all("g")) == boxes


class TestForEverybody:
    @pytest.mark.parametrize("make", [portfolio, troubled, rejected])
    def test_drawings_have_a_role_a_title_and_a_description(self, make) -> None:
        root = read(report_html(make()))
        assert root.all("svg")
        for svg in root.all("svg"):
            ids = {child.attributes["id"] for child in svg.children[:2]}
            assert [child.name for child in svg.children[:2]] == ["title", "desc"]
            assert svg.attributes["role"] == "img"
            assert set(svg.attributes["aria-labelledby"].split()) == ids

    @pytest.mark.parametrize("make", [portfolio, troubled, rejected])
    def test_tables_have_captions_and_headed_rows(self, make) -> None:
        tables = read(report_html(make())).all("table")
        assert tables
        for table in tables:
            assert table.children[0].name == "caption"
            for row in table.all("tbody")[0].children:
                assert row.children[0].attributes["scope"] == "row"

    @pytest.mark.parametrize("make", [portfolio, troubled, lambda: hostile("plain")])
    def test_ids_are_unique_and_names_of_sections_point_at_them(self, make) -> None:
        root = read(report_html(make()))
        stack, ids = [root], []
        while stack:
            element = stack.pop()
            stack += element.children
            ids += [element.attributes["id"]] if "id" in element.attributes else []
        assert len(ids) == len(set(ids))
        assert {part.attributes["aria-labelledby"] for part in root.all("section")} <= set(ids)

    def test_the_same_run_gives_the_same_page(self) -> None:
        assert report_html(troubled()) == report_html(troubled())


class TestWriting:
    def test_the_file_is_the_page(self, tmp_path: Path) -> None:
        write_report(portfolio(), tmp_path / "run.html")
        assert (tmp_path / "run.html").read_text(encoding="utf-8") == report_html(portfolio())

    def test_an_older_report_is_replaced_and_nothing_is_left_over(self, tmp_path: Path) -> None:
        path = tmp_path / "run.html"
        path.write_text("old")
        write_report(portfolio(), str(path))
        assert "old" not in path.read_text(encoding="utf-8")[:100]
        assert os.listdir(tmp_path) == ["run.html"]

    def test_a_link_is_followed(self, tmp_path: Path) -> None:
        (tmp_path / "latest.html").symlink_to(tmp_path / "run.html")
        write_report(portfolio(), tmp_path / "latest.html")
        assert (tmp_path / "latest.html").is_symlink()
        assert (tmp_path / "run.html").exists()

    @pytest.mark.parametrize("name", ["missing/run.html", "", "n" * 300, "nul\0l"])
    def test_a_path_that_cannot_be_written_is_the_users_mistake(
        self, tmp_path: Path, name: str
    ) -> None:
        with pytest.raises(heddle.ConfigError) as caught:
            write_report(portfolio(), f"{tmp_path}/{name}")
        assert caught.value.code == "unwritable-report"
        assert caught.value.exit_status == 2
        assert caught.value.hint
        assert os.listdir(tmp_path) == []

    def test_what_is_not_a_regular_file_is_not_replaced(self, tmp_path: Path) -> None:
        # a pipe of our own stands for devices: a failing test must not replace a real one
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(heddle.ConfigError, match="not a regular file"):
            write_report(portfolio(), tmp_path / "pipe")
        assert stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode)


def test_a_real_run_has_a_report() -> None:
    async def twice(x: int) -> int:
        return 2 * x

    async def broken(x: int) -> int:
        raise heddle.ToolFailed("no luck", code="out-of-luck")

    plan = Plan(
        [
            Step("1", "twice", {"x": 21}),
            Step("2", "twice", {"x": Ref("1")}),
            Step("3", "broken", {"x": Ref("1")}),
            Step("4", "twice", {"x": Ref("3")}),
        ]
    )
    result = asyncio.run(heddle.execute(plan, tools=[twice, broken]))
    page = report_html(result)
    assert_inert(page)
    said = section(page, "The steps").text
    assert "✓ done" in said
    assert "out-of-luck" in said
    assert "» skipped" in said
    assert "84" in said


def test_a_run_that_asked_no_model_says_so() -> None:
    assert "Model callsnone" in section(report_html(Diary().result()), "The proof").text
