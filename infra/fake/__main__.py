"""`python -m infra.fake --port 11999`: run the fake back-end until it is told to stop."""

import argparse

from aiohttp import web

from infra.fake.behaviour import MODELS
from infra.fake.pulling import PULLS
from infra.fake.server import FakeServer
from infra.process.parent import end_with_parent


def main() -> None:
    """Read the arguments and serve."""
    models = "\n".join(f"  {name:13} {model.says}" for name, model in {**MODELS, **PULLS}.items())
    parser = argparse.ArgumentParser(
        "python -m infra.fake",
        description="A back-end without a model, for tests and measurements. Models, and what can be pulled:\n"
        + models,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=11999)
    parser.add_argument("--ttft-ms", type=float, default=0, help="milliseconds before the first token")
    parser.add_argument(
        "--held", action="store_true", help="end when standard input does: its parent holds the other end"
    )
    arguments = parser.parse_args()
    if arguments.held:
        end_with_parent()
    server = FakeServer(ttft=arguments.ttft_ms / 1000)
    web.run_app(
        server.app(), host=arguments.host, port=arguments.port, access_log=None, print=None, handler_cancellation=True
    )


if __name__ == "__main__":
    main()
