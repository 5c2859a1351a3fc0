"""A real container engine for tests: the machine's own, or podman out of Debian's packages in the cache folder, and a tiny image.

Nothing is installed: the packages are unpacked, and everything that the engine keeps lies below the test's folder.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

CACHE = Path(__file__).resolve().parent.parent / ".cache" / "podman"
IMAGE = "localhost/flyte-jupyter-tiny:1"
_PACKAGES = ["podman", "conmon", "runc", "libgpgme11", "libsubid4", "busybox-static"]
_PROGRAMS = [
    "sh",
    "cat",
    "echo",
    "sleep",
    "ls",
    "mkdir",
    "env",
    "wc",
    "tail",
    "head",
    "touch",
    "id",
]


def unpacked() -> Path | None:
    """The folder of unpacked packages; None where they cannot be had."""
    done = CACHE / "root" / "usr" / "bin" / "podman"
    if done.exists():
        return CACHE / "root"
    if not shutil.which("apt-get") or os.getuid() != 0:
        return None
    shutil.rmtree(CACHE, ignore_errors=True)
    downloads = CACHE / "packages"
    downloads.mkdir(parents=True)
    if subprocess.run(
        ["apt-get", "download", "-q", *_PACKAGES], cwd=downloads, check=False, capture_output=True
    ).returncode:
        return None
    part = CACHE / "root.part"
    for package in downloads.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, part], check=True)
    part.rename(CACHE / "root")
    return CACHE / "root"


def make(folder: Path) -> Path | None:
    """A folder for PATH with a working ``podman`` that knows the image; None when none can be made to work on this machine."""
    root = unpacked()
    if root is None:
        return None
    home = folder / "engine-home"
    (home / ".config" / "containers").mkdir(parents=True)
    policy = {"default": [{"type": "insecureAcceptAnything"}]}
    (home / ".config" / "containers" / "policy.json").write_text(json.dumps(policy))
    programs = folder / "engine-programs"
    programs.mkdir()
    runtime = programs / "runtime"
    # Some machines may not raise limits, which podman does by itself.
    runtime.write_text(
        f"#!{sys.executable}\n"
        "import json, os, sys\n"
        "words = sys.argv[1:]\n"
        "if 'create' in words and '--bundle' in words:\n"
        "    path = os.path.join(words[words.index('--bundle') + 1], 'config.json')\n"
        "    config = json.load(open(path))\n"
        "    config['process'].pop('rlimits', None)\n"
        "    json.dump(config, open(path, 'w'))\n"
        f"os.execv({str(root / 'usr/sbin/runc')!r}, ['runc', *words])\n"
    )
    settings = home / "containers.conf"
    libraries = f"{root}/usr/lib/x86_64-linux-gnu"
    # What podman asks conmon to do at a container's end needs them too.
    environ = [
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin", f"HOME={home}", f"CONTAINERS_CONF={settings}", f"LD_LIBRARY_PATH={libraries}",
    ]  # fmt: skip
    settings.write_text(
        '[containers]\nnetns = "host"\npids_limit = 0\nseccomp_profile = "unconfined"\napparmor_profile = ""\n'
        'log_driver = "k8s-file"\n[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nruntime = "runtime"\n'
        f'conmon_path = ["{root}/usr/bin/conmon"]\nconmon_env_vars = {json.dumps(environ)}\n[engine.runtimes]\nruntime = ["{runtime}"]\n'
    )
    podman = programs / "podman"
    places = " ".join(f"--{name} {home}/{name}" for name in ("root", "runroot", "tmpdir"))
    podman.write_text(
        f"#!/bin/sh\nexport HOME={home} CONTAINERS_CONF={settings} LD_LIBRARY_PATH={libraries}\n"
        f'exec {root}/usr/bin/podman {places} --storage-driver vfs "$@"\n'
    )
    for program in (podman, runtime):
        program.chmod(0o755)
    words = [podman, "import", "-", IMAGE]
    done = subprocess.run(words, input=_image(root), check=False, capture_output=True)
    if (
        done.returncode
        or subprocess.run(_trial(podman), check=False, capture_output=True).returncode
    ):
        return None
    return programs


def _trial(podman: Path) -> list[str]:
    """As an attempt's process runs it, which takes in what podman leaves behind."""
    code = (
        "import sys; from flyte_jupyter.kernel.runtime import container, isolation; isolation.gather_orphans(); "
        "sys.exit(container.attended(sys.argv[1:]))"
    )
    return [sys.executable, "-c", code, str(podman), "run", "--rm", IMAGE, "echo", "works"]


def _image(root: Path) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name in ("bin", "tmp", "etc", "var"):
            info = tarfile.TarInfo(name)
            info.type, info.mode = tarfile.DIRTYPE, 0o777
            tar.addfile(info)
        tar.add(root / "bin" / "busybox", "bin/busybox")
        for name in _PROGRAMS:
            info = tarfile.TarInfo(f"bin/{name}")
            info.type, info.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(info)
    return made.getvalue()


def names(programs: Path) -> list[str]:
    """The containers that there are, running or not."""
    words = [programs / "podman", "ps", "--all", "--format", "{{.Names}}"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()


def clear(programs: Path) -> None:
    """Remove what is left of all containers, their mounts included."""
    words = [programs / "podman", "rm", "--all", "--force", "--time", "0"]
    subprocess.run(words, check=False, capture_output=True)
    for line in Path("/proc/mounts").read_text().splitlines():
        if line.split()[1].startswith(f"{programs.parent}/"):
            subprocess.run(["umount", line.split()[1]], check=False, capture_output=True)
