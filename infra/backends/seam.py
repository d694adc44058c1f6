"""Where a model goes on from the beginning of its own answer: what is sent of it, and how the new output joins it."""

from dataclasses import replace

from contracts.ports.backend import Piece, Text


class Seam:
    """`sent`: the beginning without its trailing whitespace, which models' vocabularies keep at the head of the next word.

    (Of 40 prefixes only those that ended in newlines went on differently; SmolLM2 after "a vast and " said another word than after
    "a vast and".) The model may say that whitespace again: what of it was shown already is dropped from the head of the new output.
    """

    def __init__(self, said: str) -> None:
        self.sent = said.rstrip()
        self._shown = said[len(self.sent) :]
        self._dropped = 0

    def join(self, piece: Piece) -> Piece | None:
        """The piece as it follows what was said; None where nothing of it is new. The tokens of what is dropped count with the next one."""
        if not isinstance(piece, Text):
            return piece
        text = self._new(piece.text) if self._shown else piece.text
        if not text:
            self._dropped += piece.tokens
            return None
        joined = replace(piece, text=text, tokens=piece.tokens + self._dropped)
        self._dropped = 0
        return joined

    def _new(self, text: str) -> str:
        shown = self._shown
        same = next(
            (at for at, (one, other) in enumerate(zip(shown, text, strict=False)) if one != other),
            min(len(shown), len(text)),
        )
        self._shown = shown[same:] if same == len(text) else ""
        return text[same:]
