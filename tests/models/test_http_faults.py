"""How long a provider wants us to wait, and how foreign words are quoted."""

from hypothesis import given
from hypothesis import strategies as st

from heddle.models.http_faults import MAX_QUOTED, Voice, retry_after_s

KEY = "sk-secret-key-0123456789"
VOICE = Voice("openai", "m", "http://h/v1", "OPENAI_API_KEY", KEY)


def test_seconds_milliseconds_and_dates_are_understood():
    date = {"date": "Fri, 01 Jan 2027 00:00:00 GMT"}
    assert retry_after_s({"retry-after": "2"}) == 2
    assert retry_after_s({"retry-after": "0.5"}) == 0.5
    assert retry_after_s({"retry-after-ms": "250"}) == 0.25
    assert retry_after_s({"retry-after-ms": "250", "retry-after": "9"}) == 0.25
    assert retry_after_s({"retry-after": "Fri, 01 Jan 2027 00:01:30 GMT", **date}) == 90


def test_a_date_that_has_passed_means_no_wait():
    assert retry_after_s({"retry-after": "Mon, 01 Jan 2001 00:00:00 GMT"}) == 0
    assert retry_after_s({"retry-after": "Mon, 01 Jan 2001 00:00:00 -0000"}) == 0


def test_what_makes_no_sense_is_no_wish():
    for text in ("", "soon", "-1", "nan", "inf", "Fri, 99 Jan 2027 00:00:00 GMT"):
        assert retry_after_s({"retry-after": text}) is None
    assert retry_after_s({}) is None


def test_an_unreadable_millisecond_header_does_not_hide_the_other():
    assert retry_after_s({"retry-after-ms": "soon", "retry-after": "3"}) == 3


@given(st.text())
def test_any_header_gives_a_wait_or_none(text):
    wait = retry_after_s({"retry-after": text})
    assert wait is None or wait >= 0


@given(st.text(), st.text(), st.integers(0, 2 * MAX_QUOTED))
def test_quoted_words_never_hold_the_key_and_are_short_and_on_one_line(before, after, padding):
    said = VOICE.said(before + "." * padding + KEY + after)
    assert KEY[:12] not in said
    assert len(said) <= MAX_QUOTED + 1
    assert len(said.splitlines()) <= 1


@given(st.binary(max_size=200), st.integers(300, 599))
def test_any_body_of_any_status_gives_an_error_with_a_hint(body, status):
    error = VOICE.answered(status, {}, body)
    assert error.code
    assert error.hint
    assert f"status {status}" in error.message


def test_deep_bodies_are_quoted_not_followed():
    assert VOICE.answered(500, {}, b"[" * 60_000).code == "server-error"


def test_the_key_does_not_show_in_the_voice_itself():
    assert KEY not in repr(VOICE)
