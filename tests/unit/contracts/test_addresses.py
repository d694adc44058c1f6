"""Which addresses are private, and which URLs a back-end may have."""

import pytest

from contracts.addresses import checked_url, is_private, names_private

PRIVATE = (
    "0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.255.254", "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255",
    "192.168.0.1", "169.254.0.1", "169.254.169.254", "100.64.0.1", "100.100.100.200", "100.127.255.255", "168.63.129.16",
    "192.0.0.192", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1",
    "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::8.8.8.8", "fe80::1", "fe80::1%eth0", "febf::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1",
    "100::1", "2001:db8::1", "3fff::1", "2001::1", "2001:10::1", "4000::1",
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:a00:1",
    "64:ff9b::10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::8.8.8.8",
    "2002:7f00:1::", "2002:a00:1::1", "2002:c0a8:101::5",
    "2001:0:0a00:1::", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:0:4136:e378:0:0:f5ff:fffe",
)  # fmt: skip
PUBLIC = (
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1", "126.255.255.255", "128.0.0.1",
    "169.253.255.255", "172.15.255.255", "172.32.0.1", "192.167.255.255", "192.169.0.1", "198.17.255.255", "198.20.0.1",
    "223.255.255.255", "168.63.129.17", "2606:4700:4700::1111", "2001:200::1", "2001:4860:4860::8888", "2a00:1450::1",
    "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1", "3ffe::1",
)  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_no_public_servers_is_private(address: str) -> None:
    assert is_private(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_servers_address_is_not(address: str) -> None:
    assert not is_private(address)


@pytest.mark.parametrize(
    "text", ["", "localhost", "127.1", "0x7f000001", "2130706433", "1.2.3.4.5", "[::1]", "010.0.0.1"]
)
def test_what_is_no_address_is_neither(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        is_private(text)


NORMAL = {
    "http://gpu": "http://gpu",
    "http://gpu/": "http://gpu",
    "http://gpu//": "http://gpu",
    "HTTP://GPU-1.Example.ORG:11434/v1/": "http://gpu-1.example.org:11434/v1",
    "https://gpu:443": "https://gpu",
    "http://gpu:80/v1": "http://gpu/v1",
    "https://gpu:80": "https://gpu:80",
    "http://gpu.": "http://gpu",
    "http://gpu_1.models.svc": "http://gpu_1.models.svc",
    "https://api.example.org/openai/deployments/a~b,c;d=e:f/v1": "https://api.example.org/openai/deployments/a~b,c;d=e:f/v1",
    "http://192.0.2.1:8000": "http://192.0.2.1:8000",
    "http://127.0.0.1.:80": "http://127.0.0.1",
    "http://[::1]:11434": "http://[::1]:11434",
    "http://[2001:DB8:0:0:0:0:0:1]": "http://[2001:db8::1]",
    "http://[::ffff:127.0.0.1]/": "http://[::ffff:7f00:1]",
    "http://bücher.example": "http://xn--bcher-kva.example",
    "http://模型.example:8080/v1": "http://xn--xgs754b.example:8080/v1",
    "http://gpu。example": "http://gpu.example",
    "http://\uff11\uff12\uff17.\uff10.\uff10.\uff11": "http://127.0.0.1",
    "http://XN--BCHER-KVA.example": "http://xn--bcher-kva.example",
    "http://1e100.net": "http://1e100.net",
    "http://0xgpu.example": "http://0xgpu.example",
}


@pytest.mark.parametrize(("url", "normal"), NORMAL.items())
def test_a_url_has_one_form(url: str, normal: str) -> None:
    assert checked_url(url) == normal
    assert checked_url(normal) == normal


REFUSED = (
    ("", "http:// or https://"), ("gpu:11434", "http:// or https://"), ("//gpu", "http:// or https://"),
    ("ftp://gpu", "http:// or https://"), ("file:///etc/passwd", "http:// or https://"), ("unix:///run/x.sock", "http:// or https://"),
    ("http:gpu", "http:// or https://"), ("http:///gpu", "no host"), ("http://", "no host"), ("http://:80", "no host"),
    ("http://user@gpu", "password"), ("http://user:secret@gpu", "password"), ("http://a@b@gpu", "password"),
    ("http://gpu?x=1", "query"), ("http://gpu/#", "query"), ("http://gpu/v1?", "query"),
    ("http://gpu:0", "port"), ("http://gpu:65536", "port"), ("http://gpu:", "port"), ("http://gpu:http", "port"),
    ("http://gpu:-1", "port"), ("http://gpu:1:2", "port"), ("http://gpu:00011434", "port"), ("http://gpu:\uff18\uff10", "port"),
    (" http://gpu", "spaces"), ("http://gpu ", "spaces"), ("http://g pu", "spaces"), ("http://gpu\n", "spaces"),
    ("http://gpu\t/v1", "spaces"), ("http://gpu\\@evil", "backslashes"), ("http://gpu\x7f", "control"), ("http://gpu\0", "control"),
    ("http://127.1", "decimal"), ("http://127.0.1", "decimal"), ("http://0x7f.1", "decimal"), ("http://0x7f000001", "decimal"),
    ("http://2130706433", "decimal"), ("http://017700000001", "decimal"), ("http://0177.0.0.1", "decimal"), ("http://0", "decimal"),
    ("http://127.0.0.01", "decimal"), ("http://127.0.0.256", "decimal"), ("http://1.2.3.4.5", "decimal"), ("http://0x", "decimal"),
    ("http://gpu.0x7f", "decimal"), ("http://gpu.1", "decimal"), ("http://\uff11\uff12\uff17.\uff11", "decimal"), ("http://127。1", "decimal"),
    ("http://[::1", "host"), ("http://::1", "host"), ("http://[::1]x", "host"), ("http://[fe80::1%25eth0]", "host"),
    ("http://[1.2.3.4]", "IPv6"), ("http://[:::1]", "IPv6"), ("http://[v1.x]", "host"),
    ("http://gpu..example", "name"), ("http://.gpu", "name"), ("http://-gpu", "name"), ("http://gpu-", "name"),
    ("http://gp%75", "host"), ("http://gpu,evil", "name"), ("http://g*u", "name"), (f"http://{'a' * 64}", "name"),
    (f"http://{'.'.join(['a' * 60] * 5)}", "name"), (f"http://{'ä' * 400}", "name"), ("http://gpu\u2028", "name"),
    ("http://gpu\u3000", "name"), ("http://straße.example", "ASCII"), ("http://a\u200db.example", "ASCII"), ("http://ΣΑΣς.example", "ASCII"),
    ("http://gpu/../admin", "path"), ("http://gpu/v1/.", "path"), ("http://gpu/%2e%2e/", "path"), ("http://gpu/ä", "path"),
    ("http://gpu/<x>", "path"), ("http://gpu/\u2028", "path"), (f"http://gpu/{'a' * 2000}", "2000"),
)  # fmt: skip


@pytest.mark.parametrize(("url", "why"), REFUSED, ids=[ascii(url[:40]) for url, _ in REFUSED])
def test_any_other_url_is_refused_with_the_reason(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        checked_url(url)


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("http://localhost:11434", True),
        ("http://gpu.localhost", True),
        ("http://127.0.0.1:1", True),
        ("http://[::1]", True),
        ("http://[::ffff:7f00:1]", True),
        ("http://169.254.169.254/latest", True),
        ("http://8.8.8.8", False),
        ("http://[2606:4700:4700::1111]", False),
        ("http://gpu.example", False),
        ("http://localhost.example", False),
    ],
)
def test_a_url_may_tell_by_itself_that_it_leads_inside(url: str, private: bool) -> None:
    assert names_private(checked_url(url)) is private
