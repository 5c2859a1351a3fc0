"""The test cluster's certificates: an authority of its own, and a kubeconfig for each who may come in."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cluster_places import program


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Authority:
    """Signs the certificates of one cluster."""

    folder: Path

    @property
    def pair(self) -> Pair:
        return self._pair("ca")

    def _pair(self, name: str) -> Pair:
        return Pair(self.folder / f"{name}.crt", self.folder / f"{name}.key")

    @classmethod
    def make(cls, folder: Path) -> Authority:
        """Make a new one in a folder."""
        folder.mkdir()
        made = cls(folder)
        made._request("ca", "/CN=test-cluster", ["-addext", "keyUsage=critical,keyCertSign"])
        return made

    def issue(self, name: str, subject: str, *, hosts: tuple[str, ...] = ()) -> Pair:
        """A certificate for a client, and for a server too when it has hosts (names and addresses)."""
        usage = "clientAuth,serverAuth" if hosts else "clientAuth"
        extra = ["-CA", str(self.pair.certificate), "-CAkey", str(self.pair.key)]
        extra += ["-addext", f"extendedKeyUsage={usage}", "-addext", "basicConstraints=CA:FALSE"]
        if hosts:
            named = (f"{'IP' if host[0].isdigit() else 'DNS'}:{host}" for host in hosts)
            extra += ["-addext", f"subjectAltName={','.join(named)}"]
        return self._request(name, subject, extra)

    def _request(self, name: str, subject: str, extra: list[str]) -> Pair:
        pair = self._pair(name)
        command = [program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]  # fmt: skip
        files = ["-nodes", "-keyout", str(pair.key), "-out", str(pair.certificate)]
        done = subprocess.run(
            [*command, *files, "-days", "30", "-subj", subject, *extra],
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return pair

    def kubeconfig(self, file: Path, url: str, who: Pair) -> Path:
        """Write how `who` reaches the API server at `url`."""
        cluster = {"server": url, "certificate-authority": str(self.pair.certificate)}
        user = {"client-certificate": str(who.certificate), "client-key": str(who.key)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        }
        file.write_text(json.dumps(config, indent=2))
        file.chmod(0o600)
        return file
