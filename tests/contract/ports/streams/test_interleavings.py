"""Property: whatever happens in whatever order, everybody ends with one text, and it is the recorded one."""

import os

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.ports.streams.places import Pace, Place
from tests.contract.ports.streams.world import World

STORIES = int(os.environ.get("OLLAMANET_TEST_STORIES", "60"))
"""On each adapter; the same ones every time. 60 take some 5 s, 5,000 some 8 minutes."""
PACE = Pace(lease=60, look=0.05)
"""A lease is over when the story says so; a lost log is noticed soon."""

steps = st.tuples(st.sampled_from(World.STEPS), st.integers(0, 2), st.integers(1, 4))


@given(story=st.lists(steps, max_size=40), overdue=st.sampled_from([False] * 9 + [True]))
@settings(
    max_examples=STORIES, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_whatever_happens_everybody_ends_with_the_recorded_text(
    place: Place, story: list[tuple[str, int, int]], overdue: bool
) -> None:
    async with place.process(PACE) as streams, place.process(PACE) as edge:
        world = World(place, streams, edge, overdue=overdue)
        try:
            await world.begin()
            for step, seat, number in story:
                await getattr(world, step)(seat, number)
            await world.look(0, 0)
            await world.end()
            world.check()
        finally:
            await world.leave_all()
