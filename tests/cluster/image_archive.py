"""Container images without a registry and without a builder: layers as tar files, put together as an OCI archive."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

LAYER = "application/vnd.oci.image.layer.v1.tar"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True)
class Layer:
    """A tar file named by the digest of its content."""

    file: Path

    @property
    def digest(self) -> str:
        return f"sha256:{self.file.stem.rsplit('-', 1)[1]}"


@dataclass
class Tree:
    """What goes into one layer: paths in the image, without the leading slash."""

    folders: dict[str, int] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    texts: dict[str, tuple[str, int]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def add_folder(self, source: Path, target: str, *, skip: Callable[[str], bool] | None = None) -> None:  # fmt: skip
        """Add all files below a folder."""
        for path, folders, names in os.walk(source):
            folders[:] = [name for name in folders if not (skip and skip(name))]
            for name in names:
                if not (skip and skip(name)):
                    file = Path(path) / name
                    self.files[f"{target}/{file.relative_to(source).as_posix()}"] = file

    def key(self) -> str:
        """Changes when something in it changes; costs no reading of the files."""
        told = [(target, str(source), (seen := source.stat()).st_size, seen.st_mtime_ns) for target, source in sorted(self.files.items())]  # fmt: skip
        rest = [sorted(kind.items()) for kind in (self.folders, self.texts, self.links)]
        return hashlib.sha256(json.dumps([told, rest]).encode()).hexdigest()[:16]

    def write(self, file: Path) -> None:
        """Write the layer. Files keep their times, by which Python believes its compiled ones."""
        with tarfile.open(file, "w", format=tarfile.GNU_FORMAT) as tar:
            for target, mode in sorted(self.folders.items()):
                _add(tar, target, tarfile.DIRTYPE, mode=mode)
            for target, link in sorted(self.links.items()):
                _add(tar, target, tarfile.SYMTYPE, link=link)
            for target, (text, mode) in sorted(self.texts.items()):
                _add(tar, target, tarfile.REGTYPE, mode=mode, content=text.encode())
            for target, source in sorted(self.files.items()):
                entry = tar.gettarinfo(source.resolve(), target)
                entry.uid = entry.gid = 0
                entry.uname = entry.gname = ""
                entry.type, entry.linkname = tarfile.REGTYPE, ""
                entry.size = source.stat().st_size
                with source.open("rb") as content:
                    tar.addfile(entry, content)


def _add(
    tar: tarfile.TarFile, name: str, kind: bytes, *, mode: int = 0o755, link: str = "", content: bytes = b"",
) -> None:  # fmt: skip
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.linkname, entry.size = kind, mode, link, len(content)
    tar.addfile(entry, io.BytesIO(content))


def layer(name: str, tree: Tree, cache: Path) -> Layer:
    """The layer of a tree; made again only when the tree has changed."""
    cache.mkdir(parents=True, exist_ok=True)
    key = tree.key()
    for made in cache.glob(f"{name}-{key}-*.tar"):
        return Layer(made)
    for old in cache.glob(f"{name}-*.tar"):
        old.unlink(missing_ok=True)
    draft = cache / f"{name}.{os.getpid()}.draft"
    tree.write(draft)
    with draft.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return Layer(draft.rename(cache / f"{name}-{key}-{digest}.tar"))


@dataclass(frozen=True)
class Image:
    """Layers under a name; `config` as the OCI image specification has it (Env, User, ...)."""

    name: str
    layers: list[Layer]
    config: dict


def write_archive(image: Image, out: IO[bytes]) -> None:
    """Write an image as containerd imports it; `out` may be a pipe."""
    described = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine],
        "os": "linux",
        "config": image.config,
        "rootfs": {"type": "layers", "diff_ids": [one.digest for one in image.layers]},
    }
    blobs: dict[str, bytes] = {}

    def blob(content: dict, kind: str) -> dict:
        data = json.dumps(content, sort_keys=True).encode()
        digest = hashlib.sha256(data).hexdigest()
        blobs[digest] = data
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

    manifest = blob(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": blob(described, CONFIG),
            "layers": [
                {"mediaType": LAYER, "digest": one.digest, "size": one.file.stat().st_size}
                for one in image.layers
            ],
        },
        MANIFEST,
    )
    names = {
        "io.containerd.image.name": image.name,
        "org.opencontainers.image.ref.name": image.name,
    }
    index = {"schemaVersion": 2, "manifests": [{**manifest, "annotations": names}]}
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.GNU_FORMAT) as tar:
        _add(tar, "oci-layout", tarfile.REGTYPE, content=b'{"imageLayoutVersion":"1.0.0"}')
        _add(tar, "index.json", tarfile.REGTYPE, content=json.dumps(index).encode())
        for digest, data in blobs.items():
            _add(tar, f"blobs/sha256/{digest}", tarfile.REGTYPE, content=data)
        for one in image.layers:
            tar.add(one.file, f"blobs/sha256/{one.digest.removeprefix('sha256:')}")
