"""`ollamanet login`, `logout` and `token`."""

import sys
from getpass import getpass

from cli.client import Client
from cli.tokens import Login

LEAST_PASSWORD = 10
"""Characters; the platform refuses fewer."""


def enter(client: Client, email: str | None, password_stdin: bool, sign_up: bool) -> Login:
    """Log in, or make the account first; asks for what was not given."""
    address = email or input("E-mail: ").strip()
    password = sys.stdin.readline().rstrip("\n") if password_stdin else _password(sign_up)
    return client.sign_up(address, password) if sign_up else client.log_in(address, password)


def _password(is_new: bool) -> str:
    if not is_new:
        return getpass("Password: ")
    while True:
        first = getpass(f"Choose a password (at least {LEAST_PASSWORD} characters): ")
        if first == getpass("Once more: "):
            return first
        sys.stderr.write("They differ.\n")
