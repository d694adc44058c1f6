"""What most tests hold: a running client, and whose key it has."""

from dataclasses import dataclass
from uuid import uuid4

from tests.conformance.accounts import Account
from tests.conformance.clients import Client


@dataclass
class Using:
    """A running client and its account on the platform that most tests ask."""

    client: Client
    account: Account


def question(words: str = "Why is the sky blue?") -> str:
    """One that nobody asked before."""
    return f"{words} {uuid4()}"
