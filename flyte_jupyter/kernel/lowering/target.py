"""Where lowered entities are going to live and run: everything that authoring objects do not say themselves."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """The platform side of a registration."""

    project: str
    domain: str
    interpreter: str
    """Absolute path of the Python that local attempts run with."""
    environment: str
    """Fingerprint of that Python's installed packages."""
    image: str = ""
    """Container image for attempts in a cluster; empty when only this machine runs them."""


@dataclass(frozen=True)
class Code:
    """Where one entity's source travels."""

    module: str
    """Module inside the bundle that defines the entity."""
    namespace: str
    """What registered names begin with: the module, or the notebook's slug."""
    digest: str
    """Version of the bundle: the digest of its content."""
    uri: str = ""
    """Where the bundle is stored; empty while a version is being computed."""
    cell: str = ""
    """Id of the notebook cell that defines the entity; no part of its version."""
    notebook: str = ""
    """What tells the notebook from others of its name; no part of the version either."""

    def entity_name(self, function: str) -> str:
        """The registered name of a function: ``<namespace>.<function>``."""
        return f"{self.namespace}.{function}" if self.namespace else function
