"""A worker process that claims one generation, says so and waits to be killed: `python subscriber.py URL GENERATION`."""

import sys

import uvloop

from infra.redis.streams import RedisGenerationStreams


async def main(url: str, generation_id: str) -> None:
    async with RedisGenerationStreams(url) as streams, streams.control("doomed") as words:
        answer = await streams.claim(generation_id, "doomed")
        sys.stdout.write(f"{type(answer).__name__}\n")
        sys.stdout.flush()
        async for word in words:
            sys.stdout.write(f"{word}\n")


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
