"""Starts a separate broker with two more listeners: SASL over TLS, and TLS with client certificates."""

from __future__ import annotations

import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from sightstream.infra.runtime.kafka import broker_properties
from sightstream.infra.runtime.local import LocalRuntime
from sightstream.schemas.connections.kafka import KafkaSettings

USER, PASSWORD = "shop", "c4n4ry-password"
KEY_TYPE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]


@dataclass(frozen=True)
class Certificates:
    """Writes PEM files of authorities and of what they sign; each `.pem` has its `.key` beside it."""

    folder: Path

    def file(self, name: str) -> str:
        return str(self.folder / name)

    def authority(self, name: str) -> None:
        self._openssl(
            "-x509", "-subj", f"/CN={name}", "-keyout", self.file(f"{name}.key"), "-out", self.file(f"{name}.pem")
        )

    def issue(self, name: str, authority: str) -> None:
        signed_by = ["-CA", self.file(f"{authority}.pem"), "-CAkey", self.file(f"{authority}.key")]
        subject = ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
        self._openssl(
            "-x509", *signed_by, *subject, "-keyout", self.file(f"{name}.key"), "-out", self.file(f"{name}.pem")
        )

    def keystore(self, name: str) -> str:
        path = self.folder / f"{name}.store.pem"
        path.write_text(Path(self.file(f"{name}.key")).read_text() + Path(self.file(f"{name}.pem")).read_text())
        return str(path)

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", "req", *KEY_TYPE, *arguments], check=True, capture_output=True)


@dataclass(frozen=True)
class SecureBroker:
    """A running broker, and the settings for its listeners."""

    runtime: LocalRuntime
    certificates: Certificates
    sasl_port: int
    mutual_port: int

    def sasl(self, mechanism: str = "SCRAM-SHA-512", password: str = PASSWORD, authority: str = "ca") -> KafkaSettings:
        return KafkaSettings(
            bootstrap_servers=f"127.0.0.1:{self.sasl_port}",
            security_protocol="SASL_SSL",
            sasl_mechanism=mechanism,
            sasl_username=USER,
            sasl_password=SecretStr(password),
            ssl_ca_location=self.certificates.file(f"{authority}.pem"),
        )

    def mutual(self, client: str | None) -> KafkaSettings:
        return KafkaSettings(
            bootstrap_servers=f"127.0.0.1:{self.mutual_port}",
            security_protocol="SSL",
            ssl_ca_location=self.certificates.file("ca.pem"),
            ssl_certificate_location=client and self.certificates.file(f"{client}.pem"),
            ssl_key_location=client and self.certificates.file(f"{client}.key"),
        )


def secure_broker(folder: Path) -> SecureBroker:
    """Return a broker that is not started yet; `add_user` creates the SCRAM user once it runs."""
    certificates = Certificates(folder / "certificates")
    certificates.folder.mkdir(parents=True)
    for authority in ("ca", "stranger"):
        certificates.authority(authority)
    for name, authority in {"broker": "ca", "client": "ca", "intruder": "stranger"}.items():
        certificates.issue(name, authority)
    sasl_port, mutual_port = free_port(), free_port()
    extra = _properties(folder / "runtime", certificates, sasl_port, mutual_port)
    runtime = LocalRuntime(folder / "runtime", extra_broker_properties=extra)
    return SecureBroker(runtime, certificates, sasl_port, mutual_port)


def add_user(kafka: KafkaSettings) -> None:
    from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

    admin = AdminClient(kafka.client_config())
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    asked = admin.alter_user_scram_credentials([UserScramCredentialUpsertion(USER, info, PASSWORD.encode())])
    asked[USER].result(30)


def _properties(folder: Path, certificates: Certificates, sasl_port: int, mutual_port: int) -> dict[str, str]:
    folder.mkdir()
    plain = LocalRuntime(folder).folder
    base = broker_properties(plain, plain.identity().ports, {})
    more = f"SECURE://127.0.0.1:{sasl_port},MUTUAL://127.0.0.1:{mutual_port}"
    modules = "org.apache.kafka.common.security"
    return {
        "listeners": f"{base['listeners']},{more}",
        "advertised.listeners": f"{base['advertised.listeners']},{more}",
        "listener.security.protocol.map": f"{base['listener.security.protocol.map']},SECURE:SASL_SSL,MUTUAL:SSL",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": certificates.keystore("broker"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": certificates.file("ca.pem"),
        "listener.name.mutual.ssl.client.auth": "required",
        "listener.name.secure.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
        "listener.name.secure.scram-sha-512.sasl.jaas.config": f"{modules}.scram.ScramLoginModule required;",
        "listener.name.secure.plain.sasl.jaas.config": f"{modules}.plain.PlainLoginModule required "
        f'username="admin" password="admin" user_{USER}="{PASSWORD}";',
    }


def free_port() -> int:
    """Return a port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
