"""Vectors, as each client gets them."""

import pytest

from tests.conformance.clients import LOOKS_FIRST, Raised, those_that
from tests.conformance.using import Using

TEXTS = ["The sky is blue.", "Grüße, 한글 \U0001f469\u200d\U0001f467 \u2028", "The sky is blue."]


@pytest.mark.parametrize("using", those_that("embed"), indirect=True)
async def test_texts_become_vectors_in_their_order(using: Using) -> None:
    first, second, third = await using.client.does("embed", model="embed", texts=TEXTS)
    assert len(first) == len(second) > 1
    assert all(isinstance(one, float | int) for one in first)
    assert first == third
    assert first != second


@pytest.mark.parametrize("using", [one for one in those_that("embed") if one not in LOOKS_FIRST], indirect=True)
async def test_an_unknown_model_has_none(using: Using) -> None:
    with pytest.raises(Raised) as raised:
        await using.client.does("embed", model="nobody", texts=TEXTS)
    assert "nobody" in raised.value.words
    assert raised.value.status == 404
