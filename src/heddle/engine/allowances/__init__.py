"""Allowances: what a provider grants, as state machines over a clock value.

Nothing in here reads a clock, waits or knows asyncio: whoever holds an `Allowance` says what time
it is. So one process can hold it in memory (`heddle.engine.slots`), several can share it as one
JSON document (`heddle.engine.shared_slots`), and a test can put any hours through it.

    window.py       so much in any minute: requests, tokens; reserved, then corrected
    concurrency.py  calls in flight: fewer when a provider is overloaded, slowly more again
    pause.py        a refusal stops everybody, then one call tries, then a slope
    pace.py         requests a second, as learned from refusals
    allowance.py    all four, for one provider or model
    quota.py        what a provider says of its limits in the headers of its answers
    turns.py        who goes next among runs that share an allowance
    sharing.py      the parts of one allowance that several processes hold
    store.py        where that is kept

aiolimiter was considered for requests and tokens a minute: it has no refund, no pause, no
reservation, and its bucket grants up to twice its rate in some minutes.
"""
