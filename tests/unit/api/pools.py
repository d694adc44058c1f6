"""Lines of pools as a test tells them."""

import asyncio

from contracts.ports.lines import GenerationWaiting, Line


class Pools(GenerationWaiting):
    """Lines as told; `looks`: which pools were asked for, in order. `gate`: holds the answers back."""

    def __init__(self, **lines: Line) -> None:
        self.lines = lines
        self.looks: list[str] = []
        self.fails: list[Exception] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def line(self, pool: str) -> Line:
        self.looks.append(pool)
        await self.gate.wait()
        if self.fails:
            raise self.fails.pop()
        return self.lines.get(pool, Line({}, 0, {}))

    async def beat(self, pool: str, worker: str, slots: int) -> None: ...
    async def served(self, pool: str, model: str, ms: float) -> None: ...
