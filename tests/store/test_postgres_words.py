"""How words are cut for PostgreSQL, and looked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catena.store.postgres.words import query_for, vector_of
from catena.wire.words import terms
from tests.postgres import TestDatabase


def test_words_have_neither_case_nor_accents() -> None:
    assert vector_of("Grüße, ÉCOLE; straße-e\u0301cole") == "'grusse':1 'ecole':2,4 'strasse':3"


def test_there_may_be_no_words() -> None:
    assert vector_of(" …_? ") is None
    assert query_for(terms("… ? *")) is None


def test_a_phrase_keeps_its_order_and_a_prefix_is_open() -> None:
    assert (
        query_for(terms('"quick brown" fo* get_weather'))
        == "('quick' <-> 'brown') & ('fo':*) & ('get' <-> 'weather')"
    )


@given(st.text())
def test_every_word_of_a_text_is_found_in_it_again(text: str) -> None:
    vector = vector_of(text) or ""
    for term in terms(text.replace('"', " ").replace("*", " ")):
        query = query_for([term])
        if query is not None:
            assert all(word in vector for word in query.strip("()").split(" <-> "))


@pytest.mark.parametrize(
    "text",
    [
        " ".join(f"word{number}" for number in range(300_000)),
        "same " * 100_000,
        "x" * 100_000 + " y",
        "it's \\ 'quoted' \\' : , * & | ! ( ) <->",
        "世界 مرحبا हिन्दी \U0001d7d8 ² Ⅷ ﬁ",
    ],
    ids=["many", "often", "long", "odd", "foreign"],
)
async def test_the_database_takes_any_text(postgres: TestDatabase, text: str) -> None:
    vector, query = vector_of(text), query_for(terms(text[:200]))
    ((found,),) = await postgres.run("SELECT $1::text::tsvector @@ $2::text::tsquery", vector, query)
    assert found
