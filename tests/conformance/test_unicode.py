"""Characters of several bytes, marks and joiners, each a token of its own, on a line that breaks between any two bytes."""

import pytest

from tests.conformance.clients import those_that
from tests.conformance.relay import shredding
from tests.conformance.using import Using, question

HARD = (
    "Grüße, e\u0301 \U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea 한글 \u1112\u1161\u11ab مرحبا "
    '\u2028 \u2029 \x85 \x0b \x0c \x1c \r\n \t \\u2028 "\'`</script>\ufeff \U0001d54f data: [DONE] \n\n{"done": true}\n'
)
"""With every character that some parser takes for the end of a line."""


@pytest.mark.parametrize("using", those_that("stream", "answer"), indirect=True)
async def test_every_character_arrives_whole(using: Using, edge: str) -> None:
    asked = question(HARD)
    async with shredding(edge) as relay:
        url = using.client.kind.at(relay)
        pieces = await using.client.says("stream", model="letters", question=asked, url=url)
        assert "".join(pieces) == asked
        assert await using.client.does("answer", model="letters", question=asked, url=url) == asked
    assert (await using.account.reply(asked))["content"] == asked
