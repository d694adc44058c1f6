"""What an administrator writes with `ollama`. Standard input: `{"url", "call", "given"}`; standard output: what the client gave back, or
`{"raised"}`. A blob's `content` is written to a file first.
"""

import json
import sys
import tempfile
from pathlib import Path

from ollama import Client, ResponseError


def told(response):
    return response.model_dump(mode="json", by_alias=True)


def run(client, call, given):
    if call == "create_blob":
        path = Path(tempfile.mkdtemp()) / "blob"
        path.write_bytes(given["content"].encode())
        return client.create_blob(path)
    if call in ("pull", "create"):
        return [told(one) for one in getattr(client, call)(**given, stream=True)]
    return told(getattr(client, call)(**given))


def main():
    asked = json.load(sys.stdin)
    try:
        said = run(Client(host=asked["url"]), asked["call"], asked["given"])
    except ResponseError as error:
        said = {"raised": error.error}
    json.dump(said, sys.stdout)


if __name__ == "__main__":
    main()
