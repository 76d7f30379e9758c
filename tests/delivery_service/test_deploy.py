"""The files for a deployment do what they say: systemd, nginx in front of gunicorn, the image."""

from __future__ import annotations

import json
import re
import shlex
import socket
import ssl
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from http.client import HTTPSConnection
from pathlib import Path
from urllib.parse import urlencode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from delivery_service.settings import PREFIX, Settings

from tests.delivery_service.operating import Operator
from tests.delivery_service.pages.visiting import PASSWORD
from tests.loopback import ROOT, Answer, free_port, send_to, served

DEPLOY = ROOT / "examples" / "delivery_service" / "deploy"
UNITS = sorted(DEPLOY.glob("*.service"))
HOST = "hooks.example"
# What `systemd-analyze security` gives: 10 for a unit that may do all, 0 for one that may do
# nothing.
MOST_EXPOSED = 2.0


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    """Return a text in which each of these is replaced, and was there."""
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text


def test_example_of_settings() -> None:
    """Each variable in the file is a setting, and together they can be used."""
    lines = (DEPLOY / "delivery-service.env.example").read_text("utf-8").splitlines()
    pairs = [each.lstrip("#").split("=", 1) for each in lines if re.match(r"#?[A-Z_]+=", each)]

    names = {name.removeprefix(PREFIX).lower(): value for name, value in pairs}
    assert names.keys() <= Settings.model_fields.keys()
    assert {"keys", "database_url", "public_url"} <= names.keys()


@pytest.mark.long
@pytest.mark.stress
@pytest.mark.parametrize("unit", UNITS, ids=lambda each: each.name)
def test_units(tmp_path: Path, unit: Path) -> None:
    """A unit is read without a complaint, and may do little."""
    # The programs and the files that a unit names are looked for.
    for name in ("delivery-service", "gunicorn", "celery"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text("#!/bin/sh\n", "utf-8")
        program.chmod(0o755)
    copy = tmp_path / unit.name
    text = unit.read_text("utf-8").replace("/opt/delivery-service/bin", str(tmp_path / "bin"))
    copy.write_text(text, "utf-8")

    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(copy)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")

    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--json=off", str(copy)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = re.search(r"Overall exposure level for \S+: ([\d.]+) ", rated.stdout)
    assert found, rated.stdout
    assert float(found[1]) <= MOST_EXPOSED


@dataclass
class Site:
    """nginx in front of gunicorn.

    Attributes:
        port: Where nginx listens, with TLS.
        plain_port: The same without TLS.
        key: An API key.
        folder: Where the certificate and the logs are.
    """

    port: int
    plain_port: int
    key: str
    folder: Path

    def send(
        self,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        method: str = "GET",
    ) -> Answer:
        """Send a request to the host of the site, with TLS."""
        with self.connected() as tls, closing(HTTPSConnection(HOST)) as connection:
            connection.sock = tls
            # Refused before the body was read: the answer is there all the same.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, path, body, headers or {})
            with connection.getresponse() as response:
                return Answer.read(response)

    @contextmanager
    def connected(self) -> Iterator[ssl.SSLSocket]:
        """Connect with TLS."""
        context = ssl.create_default_context(cafile=str(self.folder / "certificate.pem"))
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=30) as plain,
            context.wrap_socket(plain, server_hostname=HOST) as tls,
        ):
            yield tls


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The service as nginx.conf and gunicorn.conf.py have it, on ports of this machine."""
    folder = tmp_path_factory.mktemp("site")
    variables = {"PUBLIC_URL": f"https://{HOST}", "LOGINS_PER_HOUR": "3", "METRICS_TOKEN": "t0ken"}
    operator = Operator(folder, variables)
    operator.begin()
    operator.must("add-person", "acme", "anna@acme.example", given=PASSWORD)
    key = operator.must("create-key", "acme", "nginx").strip()
    certify(folder)
    port, plain_port = free_port(), free_port()
    sock = folder / "web.sock"
    text = replaced(
        (DEPLOY / "nginx.conf").read_text("utf-8"),
        ("unix:/run/delivery-service/web.sock", f"unix:{sock}"),
        ("listen [::]:80;", ""),
        ("listen [::]:443 ssl;", ""),
        ("listen 80;", f"listen 127.0.0.1:{plain_port};"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("/etc/letsencrypt/live/hooks.example/fullchain.pem", str(folder / "certificate.pem")),
        ("/etc/letsencrypt/live/hooks.example/privkey.pem", str(folder / "key.pem")),
        ("client_header_timeout 10s", "client_header_timeout 2s"),
        ("client_body_timeout 10s", "client_body_timeout 2s"),
    )
    (folder / "site.conf").write_text(text, "utf-8")
    temporary = "".join(
        f"{each}_temp_path {folder}/{each};\n"
        for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off;\nuser root;\nworker_processes 1;\npid {folder}/pid;\n"
        "error_log stderr notice;\nevents { worker_connections 256; }\n"
        f"http {{\naccess_log {folder}/access.log;\n{temporary}include {folder}/site.conf;\n}}\n",
        "utf-8",
    )
    environment = {**operator.environment, "BIND": f"unix:{sock}"}
    command = [sys.executable, "-m", "gunicorn", "-c", str(DEPLOY / "gunicorn.conf.py")]
    nginx = ["nginx", "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]
    with served(command, folder, environment, r"Application startup complete"):
        assert sock.stat().st_mode & 0o777 == 0o770
        with served(nginx, folder, ready="start worker process "):
            yield Site(port, plain_port, key, folder)


def certify(folder: Path) -> None:
    """Make a certificate that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


@pytest.mark.long
@pytest.mark.stress
def test_site(site: Site) -> None:
    """Requests arrive through nginx and gunicorn, and answers have the headers for browsers."""
    answer = site.send("/ready")

    assert (answer.status, answer.json()) == (200, {"status": "ok"})
    assert answer.headers["strict-transport-security"].startswith("max-age=")
    assert answer.headers["server"] == "nginx"


@pytest.mark.long
@pytest.mark.stress
def test_address_cannot_be_made_up(site: Site) -> None:
    """Wrong passwords are counted for the address that nginx sees, whatever a client says."""
    statuses = [
        site.send(
            "/login",
            urlencode({"email": f"{number}@acme.example", "password": PASSWORD}).encode(),
            {
                "Content-Type": "application/x-www-form-urlencoded",
                "Origin": f"https://{HOST}",
                "X-Forwarded-For": f"198.51.100.{number}",
                "Forwarded": f"for=198.51.100.{number}",
                "X-Real-IP": f"198.51.100.{number}",
            },
            "POST",
        ).status
        for number in range(8)
    ]

    assert statuses[0] == 403
    assert statuses[-1] == 429


@pytest.mark.long
@pytest.mark.stress
@pytest.mark.parametrize(
    ("size", "kind"),
    [(5 * 1024 * 1024, "application/problem+json"), (6 * 1024 * 1024, "text/html")],
    ids=["by-the-service", "by-nginx"],
)
def test_large_body(site: Site, size: int, kind: str) -> None:
    """The service refuses what is too large in its own words, and nginx what is far too large."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {site.key}"}

    answer = site.send("/v1/messages", b" " * size, headers, "POST")

    assert (answer.status, answer.headers["content-type"]) == (413, kind)


@pytest.mark.long
@pytest.mark.stress
@pytest.mark.parametrize(
    "request_begun",
    [
        b"GET / HTTP/1.1\r\nHost: hooks",
        b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1",
    ],
    ids=["headers", "body"],
)
def test_slow_request(site: Site, request_begun: bytes) -> None:
    """A client that does not go on is disconnected; here after 2 seconds."""
    begun = time.monotonic()
    with site.connected() as connection:
        connection.sendall(request_begun)
        while connection.recv(4096):
            pass

    assert 1 < time.monotonic() - begun < 20


@pytest.mark.long
@pytest.mark.stress
@pytest.mark.parametrize("host", [HOST, "evil.example"])
def test_without_tls(site: Site, host: str) -> None:
    """A request without TLS is sent to the same place with it, whatever host it names."""
    answer = send_to(site.plain_port, "/deliveries", headers={"Host": host}, method="GET")

    assert (answer.status, answer.headers["location"]) == (308, f"https://{HOST}/deliveries")


@pytest.mark.long
@pytest.mark.stress
def test_other_host(site: Site) -> None:
    """A request for another host is refused."""
    assert site.send("/v1/endpoints", headers={"Host": "evil.example"}).status == 421


@pytest.mark.long
@pytest.mark.stress
def test_metrics(site: Site) -> None:
    """Prometheus reads them from this machine, with its token."""
    assert site.send("/metrics", headers={"Authorization": "Bearer t0ken"}).status == 200
    assert site.send("/metrics").status == 401


def steps() -> list[tuple[str, str]]:
    """Return the instructions of the Containerfile."""
    text = (DEPLOY / "Containerfile").read_text("utf-8").replace("\\\n", " ")
    lines = [each for each in text.splitlines() if each and not each.startswith("#")]
    return [(name, rest.strip()) for name, _, rest in (each.partition(" ") for each in lines)]


def test_containerfile() -> None:
    """The image runs without root, says whether it is healthy, and has no secret."""
    last: dict[str, str] = dict(steps())

    assert last["USER"].split(":")[0].isdigit()
    assert last["USER"].split(":")[0] != "0"
    assert "/health" in last["HEALTHCHECK"]
    assert last["STOPSIGNAL"] == "SIGTERM"
    assert not re.search(r"KEYS|TOKEN|PASSWORD|SECRET", " ".join(rest for _, rest in steps()))
    copied = [
        rest.split()[:-1] for name, rest in steps() if name == "COPY" and "--from" not in rest
    ]
    for each in [path for several in copied for path in several]:
        assert (ROOT / each).exists()


@pytest.mark.long
@pytest.mark.stress
@pytest.mark.timeout(900)
def test_steps_of_containerfile(tmp_path: Path) -> None:
    """What the image runs to install and to start works, in a virtual environment of its own."""
    home = tmp_path / "venv"
    venv.create(home, with_pip=True)
    (install,) = (rest for name, rest in steps() if name == "RUN" and " pip install " in rest)
    words = [each.replace("/opt/delivery-service", str(home)) for each in shlex.split(install)]
    subprocess.run(words, cwd=ROOT, check=True, timeout=600, capture_output=True)
    last = dict(steps())
    start = json.loads(last["CMD"])
    check = json.loads(last["HEALTHCHECK"].partition("CMD ")[2])
    start[0] = str(home / "bin" / start[0])
    start[-1] = str(DEPLOY / Path(start[-1]).name)
    operator = Operator(tmp_path)
    operator.begin()
    port = free_port()
    environment = {**operator.environment, "BIND": f"127.0.0.1:{port}", "PYTHONPATH": ""}
    with served(start, tmp_path, environment, "Application startup complete") as server:
        check[0] = str(home / "bin" / check[0])
        check[-1] = replaced(check[-1], ("127.0.0.1:8000", f"127.0.0.1:{port}"))
        subprocess.run(check, check=True, timeout=30)
        server.stop()
        assert subprocess.run(check, check=False, timeout=30, capture_output=True).returncode == 1
    assert "Traceback" not in server.log
