"""The OpenAPI document as a file: `python -m api.openapi` prints what `/openapi.json` answers, and needs no edge."""

import json
import sys

from api.app import routed


def text() -> str:
    """The document, indented so that a change of it can be read."""
    return json.dumps(routed().openapi(), ensure_ascii=False, indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
