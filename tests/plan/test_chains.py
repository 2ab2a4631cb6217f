"""Annotated answers become abstract chains, and only those whose answer comes out are kept."""

import asyncio
from collections import Counter
from fractions import Fraction

import pytest

from corpora import corpus, needs_corpus
from heddle.engine.execution import execute
from heddle.plan.chains import REASONS, ChainError, amount, chain_of, judged
from heddle.plan.dialects import parse

TEXTS = {
    "It takes 2/2=<<2/2=1>>1 bolt.": "It takes [2 / 2 = y1] bolt.",
    "He sells 9 * 2 = $<<9*2=18>>18 a day.": "He sells $[9 * 2 = y1] a day.",
    "25 pounds + 5 pounds = <<25+5=30>>30 pounds": "[25 + 5 = y1] pounds",
    "8 laps * .25 km/lap = <<8*.25=2>>2 km": "[8 * 0.25 = y1] km",
    "In 2020 3 + 4 = <<3+4=7>>7 came.": "In 2020 [3 + 4 = y1] came.",
    "Sold for <<10*30=300>>300, he said.": "Sold for [10 * 30 = y1], he said.",
    "That is <<360*30=10800>>10,800 in all": "That is [360 * 30 = y1] in all",
    "Half, 12/2=<<12/2=6>>six of them": "Half, [12 / 2 = y1] six of them",
    "She ate <<20*50%=10>>10.": "She ate [20 * (50 / 100) = y1].",
    "It is 3/4=<<3/4=3/4>>3/4 full": "It is [3 / 4 = y1] full",
}


@pytest.mark.parametrize("text", TEXTS)
def test_an_annotation_takes_the_place_of_its_derivation_and_its_result(text):
    assert chain_of(text).text == TEXTS[text]


def expressions(text):
    return [annotation.expression for annotation in chain_of(text).annotations]


def test_operands_that_equal_an_earlier_result_become_its_symbol():
    assert expressions("<<16-3=13>> <<13*2.0=26>> <<26.0+13+1326=1365>>") == [
        *("16 - 3", "y1 * 2.0", "y2 + y1 + 1326")
    ]


def test_of_equal_results_the_latest_is_meant():
    assert expressions("<<3*5=15>> <<5*3=15>> <<15+15=30>>")[-1] == "y2 + y2"


def test_a_percentage_is_no_result():
    assert expressions("<<4*5=20>> <<20%*20=4>>")[-1] == "20 / 100 * y1"


def test_the_final_answer_is_no_part_of_the_chain():
    chain = chain_of("<<1+1=2>>2 in all\n#### 2\n")
    assert (chain.text, chain.gold) == ("[1 + 1 = y1] in all", "2")
    assert chain_of("<<1+1=2>>2 in all\nA: 1,200").gold == "1,200"


def test_an_amount_is_read_in_any_spelling():
    read = {text: amount(text) for text in ("$1,200.50", " 7 ", "3/4", "20%", "-3", "$ 5.", "5.")}
    assert read == {
        **{"$1,200.50": Fraction(2401, 2), " 7 ": 7, "3/4": Fraction(3, 4)},
        **{"20%": Fraction(1, 5), "-3": -3, "$ 5.": 5, "5.": 5},
    }
    nothing = ["", "five", "3/0", "1e5", "nan", "9" * 5000]
    assert [amount(text) for text in nothing] == [None] * len(nothing)


@pytest.mark.parametrize(
    "text",
    [
        "<<83.33>>",
        "<<a=b>>",
        "<<13-4*x=9>>",
        "<<half of 3=1>>",
        "<<__import__('os')=1>>",
        "<<=3>>",
        "<<1.33...*3=4>>",
        "<<()=1>>",
    ],
)
def test_an_annotation_that_computes_nothing_is_named(text):
    with pytest.raises(ChainError) as error:
        chain_of(f"So {text}")
    assert error.value.reason == "unreadable-annotation"
    assert text in error.value.message


def test_an_answer_without_an_annotation_gives_no_chain():
    with pytest.raises(ChainError) as error:
        chain_of("So 3 + 4 = 7. #### 7")
    assert error.value.reason == "no-annotation"
    assert str(error.value) == REASONS["no-annotation"]


def why(text, gold, **values):
    """The reason why a chain is refused, or the symbol of its answer."""
    try:
        return judged(chain_of(text), values, gold)[1]
    except ChainError as error:
        return next(reason for reason in REASONS if reason == error.reason)


def test_a_chain_is_kept_if_the_tools_compute_the_final_answer():
    text = "<<16-3=13>>13, so <<13*2=26>>26 dollars"
    kept, symbol = judged(chain_of(text), {"y1": 13, "y2": 26.0}, "$26")
    assert (kept, symbol) == ("[16 - 3 = y1], so [y1 * 2 = y2] dollars\nThe answer is y2.", "y2")
    assert why("<<10/3=3.33>>", "3.33", y1=10 / 3) == "y1"
    assert why("<<2/3=0.66>>", "0.66", y1=2 / 3) == "y1"


def test_a_chain_that_is_not_kept_has_the_first_reason_that_applies():
    assert why("<<1+1=2>>", "3", y1=2) == "gold-not-annotated"
    assert why("<<1+1=2>>", "many", y1=2) == why("<<1+1=2>>", "", y1=2) == "no-gold"
    assert why("<<1+1=3>>", "3", y1=2) == "annotation-not-reproduced"
    assert why("<<1+1=3>>", "9", y1=2) == "annotation-not-reproduced"
    assert why("<<1/0=3>>", "3") == "step-failed"
    assert why("<<1+1=2>>", "2", y1="2") == "annotation-not-reproduced"
    assert why("<<1+1=2>>", "2", y1=True) == "annotation-not-reproduced"
    assert why("<<5/2=2.5>>", "2.50", y1=2.54) == "gold-not-reproduced"


@pytest.mark.parametrize("text", ["1 + 1 + " * 4000, "1 a b c (" * 4000, "<<" * 9000, "(" * 9000])
def test_a_hostile_answer_is_read_to_its_end(text):
    assert chain_of(f"{text} = <<1+1=2>>2").annotations


async def values_of(chain):
    result = await execute(parse(chain.text, "abstraction"))
    return {step.id: step.value for step in result.steps if step.status == "done"}


@needs_corpus("gsm8k")
def test_the_whole_corpus_converts_and_its_answers_come_out():
    """400 answers: 393 have annotations, and of these 366 annotate the final answer too."""
    found = Counter()

    async def convert(row):
        chain = chain_of(row["answer"])
        found["converted"] += 1
        values = await values_of(chain)
        found["annotations"] += len(chain.annotations)
        found["reproduced"] += sum(a.gives(values.get(a.symbol)) for a in chain.annotations)
        text, symbol = judged(chain, values, row["final"])
        plan = parse(text)
        assert (plan.dialect, plan.findings) == ("abstraction", []), text
        assert symbol in values
        found["kept"] += 1

    async def everything():
        for row in corpus("gsm8k"):
            try:
                await convert(row)
            except ChainError as error:
                found[error.reason] += 1

    asyncio.run(everything())
    assert found == {
        **{"converted": 393, "annotations": 1267, "reproduced": 1267, "kept": 366},
        **{"gold-not-annotated": 27, "no-annotation": 7},
    }
