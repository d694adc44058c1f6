"""What must be right about the back-ends that a configuration lists."""

from collections import Counter
from collections.abc import Sequence

from contracts.administration import CATALOG
from contracts.certificates import checked_certificates
from contracts.records import BackendSettings


def checked_backends(backends: tuple[BackendSettings, ...]) -> tuple[BackendSettings, ...]:
    """The same. Raises ValueError with a sentence where two have one name, or one could never be used."""
    twice = _twice([one.name for one in backends])
    if twice is not None:
        raise ValueError(f"two back-ends are named {twice!r}")
    for one in backends:
        if one.name == CATALOG:
            raise ValueError(f"no back-end can be named {CATALOG!r}, which stands for the list of models itself")
        if one.tls_ca is not None:
            try:
                checked_certificates(one.tls_ca)
            except ValueError as error:
                raise ValueError(f"the tls_ca of {one.name!r} is none: {error}") from error
    return backends


def _twice(names: Sequence[str]) -> str | None:
    return next((name for name, times in Counter(names).items() if times > 1), None)
