"""`python -m infra.local --port N --slots N`: the small model behind an OpenAI-style server. Ends when its standard input does."""

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

from infra.local.weights import CONTEXT, NAME, installed
from infra.process.parent import end_with_parent

MOST_THREADS = 4
"""More do not help a model this small."""

LONGEST = 512
"""Tokens of one answer: so small a model may babble on until its context is full, a minute and more."""


def main() -> None:
    """Serve until standard input ends: the parent holds its other end, so that none outlives its platform."""
    parser = argparse.ArgumentParser(prog="python -m infra.local", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="a free port of the loopback")
    parser.add_argument("--slots", type=int, default=4, help="generations at once")
    options = parser.parse_args()
    try:
        model = installed()
    except FileNotFoundError as error:
        parser.exit(2, f"{error}\n")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    end_with_parent()

    import xllamacpp  # pyright: ignore[reportMissingTypeStubs] - compiled

    server = xllamacpp.Server(_parameters(xllamacpp, model, options.port, options.slots))  # pyright: ignore[reportAttributeAccessIssue]
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    threading.Event().wait()


def _parameters(xllamacpp: object, model: Path, port: int, slots: int) -> object:
    parameters = xllamacpp.CommonParams()  # type: ignore[attr-defined]
    parameters.model.path = str(model)
    parameters.model_alias = {NAME}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    parameters.n_parallel = slots
    parameters.n_ctx = CONTEXT * slots
    parameters.n_predict = LONGEST
    parameters.use_jinja = True
    # All cores but one, which the platform needs: its threads wait for each other at every step. On two busy cores, 32 tokens took
    # one thread 560 ms and never more than 800, two threads 400 ms and up to 2,200.
    threads = min(MOST_THREADS, max(1, (os.cpu_count() or 1) - 1))
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    return parameters


if __name__ == "__main__":
    main()
