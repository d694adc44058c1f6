"""Certificates that people give for their own servers."""

import ssl

LONGEST_PEM = 64 * 1024


def trusting(pem: str) -> ssl.SSLContext:
    """What trusts servers that one of these certificates vouches for, and nobody else. Raises ValueError with a sentence."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # create_default_context would take "" for the machine's own
    try:
        context.load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError, TypeError) as error:  # TypeError: what is not ASCII
        raise ValueError("there is no certificate in it: PEM begins with -----BEGIN CERTIFICATE-----") from error
    return context


def checked_certificates(pem: str) -> str:
    """The same PEM. Raises ValueError with a sentence where it holds no certificate that can be read, or is too long."""
    if len(pem) > LONGEST_PEM:
        raise ValueError(f"certificates have {LONGEST_PEM} characters at most")
    trusting(pem)
    return pem
