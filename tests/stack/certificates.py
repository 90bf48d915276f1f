"""A throw-away certificate authority, by the openssl program (does I/O)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from tests.stack.pins import system_program
from tests.stack.process import run

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A certificate and its key, as paths of PEM files."""

    cert: Path
    key: Path


class Authority:
    """A CA with its key, in `folder`; what it issues lies there too."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.cert = folder / "ca.crt"
        self.key = folder / "ca.key"
        self._issued = 0
        self._request(
            Issued(cert=self.cert, key=self.key),
            f"/CN={name}-ca",
            "basicConstraints=critical,CA:TRUE",
            "keyUsage=critical,keyCertSign,cRLSign,digitalSignature",
        )

    def _request(self, issued: Issued, subject: str, *extensions: str) -> None:
        signer = () if issued.cert == self.cert else self._signer()
        added = [part for extension in extensions for part in ("-addext", extension)]
        run(
            *(str(system_program("openssl")), "req", "-x509", "-days", "30", *KEY),
            *("-subj", subject, "-keyout", str(issued.key), "-out", str(issued.cert)),
            *signer,
            *added,
        )

    def _signer(self) -> tuple[str, ...]:
        return ("-CA", str(self.cert), "-CAkey", str(self.key))

    def _next(self, kind: str) -> Issued:
        self._issued += 1
        stem = self.folder / f"{kind}-{self._issued}"
        return Issued(cert=stem.with_suffix(".crt"), key=stem.with_suffix(".key"))

    def server(
        self, name: str, addresses: tuple[str, ...], names: tuple[str, ...] = ()
    ) -> Issued:
        """A serving certificate for IP `addresses` and DNS `names`."""
        issued = self._next("server")
        alternatives = [f"IP:{ipaddress.ip_address(a)}" for a in addresses]
        alternatives += [f"DNS:{dns}" for dns in ("localhost", *names)]
        self._request(
            issued,
            f"/CN={name}",
            "basicConstraints=critical,CA:FALSE",
            "keyUsage=critical,digitalSignature",
            "extendedKeyUsage=serverAuth",
            f"subjectAltName={','.join(alternatives)}",
        )
        return issued

    def client(self, name: str, groups: tuple[str, ...] = ()) -> Issued:
        """A client certificate for the Kubernetes user `name` in `groups`."""
        issued = self._next("client")
        subject = "".join(f"/O={_escaped(group)}" for group in groups)
        self._request(
            issued,
            f"{subject}/CN={_escaped(name)}",
            "basicConstraints=critical,CA:FALSE",
            "keyUsage=critical,digitalSignature",
            "extendedKeyUsage=clientAuth",
        )
        return issued

    def account_key(self) -> Path:
        """A key that signs ServiceAccount tokens."""
        path = self.folder / "accounts.key"
        openssl = str(system_program("openssl"))
        # The API server reads the public half from "EC PRIVATE KEY", not from PKCS 8.
        curve = ("-name", "prime256v1", "-genkey", "-noout")
        run(openssl, "ecparam", *curve, "-out", str(path))
        return path


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("/", "\\/")
