"""Runs in a client's own environment and calls the functions of one program, each call in a thread.

JSON lines. In: `{"id", "call", "given"}`. Out: `{"id", "said"}` for what a generator yields, at last `{"id", "returned"}` or
`{"id", "raised": {"kinds", "status", "words"}}`.
"""

import importlib.util
import inspect
import json
import sys
import threading

told, sys.stdout = sys.stdout, sys.stderr  # what a client prints is no line of ours
telling = threading.Lock()


def tell(identity, **what):
    with telling:
        told.write(json.dumps({"id": identity, **what}) + "\n")
        told.flush()


def run(program, asked):
    try:
        returned = getattr(program, asked["call"])(**asked["given"])
        if inspect.isgenerator(returned):
            for said in returned:
                tell(asked["id"], said=said)
            returned = None
    except Exception as error:  # noqa: BLE001 - told to the test, which knows what should come
        kinds = [one.__name__ for one in type(error).__mro__]
        raised = {"kinds": kinds, "status": _status(error), "words": str(error)}
        tell(asked["id"], raised=raised)
    else:
        tell(asked["id"], returned=returned)


def _status(error):
    """-1 is ollama's word for an error in mid-stream."""
    status = getattr(error, "status_code", None)
    return None if status == -1 else status


def main(path):
    spec = importlib.util.spec_from_file_location("program", path)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    for line in sys.stdin:
        threading.Thread(target=run, args=(program, json.loads(line)), daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1])
