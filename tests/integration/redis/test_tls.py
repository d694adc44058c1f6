"""rediss://: Redis over TLS, its certificate checked."""

from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from contracts.errors import Unavailable
from infra.redis.streams import RedisGenerationStreams
from tests.contract.ports.streams.story import end, followed, text_of, told
from tests.servers.redis import RedisServer
from tests.servers.shared import free_port


@dataclass
class Tls:
    """A server that speaks TLS on `port`, and the file of the certificate to trust."""

    port: int
    certificate: Path


def _certificate(folder: Path) -> tuple[Path, Path]:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / "redis.crt", folder / "redis.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


@pytest.fixture
def tls(tmp_path: Path) -> Generator[Tls, None, None]:
    certificate, key = _certificate(tmp_path)
    server, port = RedisServer(tmp_path / "redis"), free_port()
    try:
        server.start(
            "--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key),
            "--tls-ca-cert-file", str(certificate), "--tls-auth-clients", "no", "--requirepass", "secret",
        )  # fmt: skip
    except RuntimeError as error:
        if "tls-port" in str(error):
            pytest.skip("This redis-server was built without TLS.")
        raise
    yield Tls(port, certificate)
    server.kill()


async def test_a_log_is_written_and_followed_over_tls(tls: Tls) -> None:
    url = f"rediss://:secret@127.0.0.1:{tls.port}/2?ssl_ca_certs={tls.certificate}"
    async with RedisGenerationStreams(url) as streams:
        await streams.check()
        it = await told(streams, "Hi", " there" * 5000)
        await end(streams, it)
        assert text_of(await followed(streams, it.id)) == "Hi" + " there" * 5000


@pytest.mark.parametrize("options", ["", "?ssl_check_hostname=true"])
async def test_a_certificate_that_nobody_vouches_for_is_refused(tls: Tls, options: str) -> None:
    with pytest.raises(Unavailable, match="certificate"):
        await RedisGenerationStreams(f"rediss://:secret@127.0.0.1:{tls.port}/0{options}").__aenter__()


async def test_a_certificate_of_another_name_is_refused(tls: Tls) -> None:
    url = f"rediss://:secret@localhost:{tls.port}/0?ssl_ca_certs={tls.certificate}"
    with pytest.raises(Unavailable, match="certificate"):
        await RedisGenerationStreams(url).__aenter__()
