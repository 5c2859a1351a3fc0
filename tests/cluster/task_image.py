"""The images that test pods run: Debian's own Python with flytekit and this checkout of flyte-jupyter, and a pause image."""

from __future__ import annotations

import configparser
import contextlib
import fcntl
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

from cluster_places import CACHE, ROOT, program
from image_archive import Image, Tree, layer

TASK_IMAGE = "localhost/flyte-jupyter/task:test"
PAUSE_IMAGE = "localhost/flyte-jupyter/pause:1"
USER = 65532
HOME = "home/flyte"
IMAGES = CACHE / "images"
SITE = CACHE / "site"
PYTHON = Path("/usr/bin/python3").resolve()
# tar and gzip are GNU's, because flytekit unpacks its bundles with options that busybox lacks; busybox's own shell would not run them.
REAL = (PYTHON, Path("/usr/bin/tar"), Path("/usr/bin/gzip"), Path("/usr/bin/dash"))
APPLETS = ("cat", "cp", "echo", "env", "false", "grep", "head", "id", "kill", "ls", "mkdir", "mv", "ps", "rm", "sleep", "tail", "test", "touch", "true", "wc")  # fmt: skip
# The first process of each pod: it sleeps, buries the dead of pods that share their processes, and ends when told.
PAUSE = "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait; done"
UNUSED = {"test", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3"}


@contextlib.contextmanager
def images() -> Iterator[list[Image]]:
    """Both images, made anew where something changed; nobody replaces them while they are read."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with (IMAGES / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield [pause_image(), task_image()]


def pause_image() -> Image:
    """What holds a pod's network while its containers come and go."""
    tree = Tree(
        files={"bin/busybox": Path(program("busybox")).resolve()},
        links={"bin/sh": "busybox", "bin/sleep": "busybox"},
    )
    config = {"Entrypoint": ["/bin/sh", "-c", PAUSE], "Env": ["PATH=/bin"], "User": str(USER)}
    return Image(PAUSE_IMAGE, [layer("pause", tree, IMAGES)], config)


def task_image() -> Image:
    """What tasks run in: no entrypoint, because Flyte gives the whole command."""
    layers = [
        layer("system", system_tree(), IMAGES),
        layer("site", site_tree(), IMAGES),
        layer("own", own_tree(), IMAGES),
    ]
    env = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": f"/{HOME}",
        "LANG": "C.UTF-8",
        "PYTHONPATH": "/opt/flyte-jupyter:/opt/site",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "FLYTE_INTERNAL_IMAGE": TASK_IMAGE,
    }
    config = {
        "Env": [f"{name}={value}" for name, value in env.items()],
        "User": f"{USER}:{USER}",
        "WorkingDir": f"/{HOME}",
    }
    return Image(TASK_IMAGE, layers, config)


def system_tree() -> Tree:
    """Python with its standard library, GNU tar and gzip, a shell, and the shared libraries of all."""
    tree = Tree(
        folders={
            "tmp": 0o1777, "var/tmp": 0o1777, "root": 0o777, HOME: 0o777, "etc": 0o755, "proc": 0o755,
            "sys": 0o755, "dev": 0o755, "usr/bin": 0o755, "usr/lib": 0o755, "usr/lib64": 0o755, "usr/local/bin": 0o755,
        },
        texts={
            "etc/passwd": (f"root:x:0:0::/root:/bin/sh\nflyte:x:{USER}:{USER}::/{HOME}:/bin/sh\n", 0o644),
            "etc/group": (f"root:x:0:\nflyte:x:{USER}:\n", 0o644),
            "etc/nsswitch.conf": ("hosts: files dns\n", 0o644),
        },
        links={"bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64", "sbin": "usr/bin"},
    )  # fmt: skip
    library = Path("/usr/lib") / PYTHON.name
    for binary in REAL:
        tree.files[f"usr/bin/{binary.name}"] = binary
    for name in ("python3", "python"):
        tree.links[f"usr/bin/{name}"] = PYTHON.name
    tree.links["usr/bin/sh"] = "dash"
    tree.files["usr/bin/busybox"] = Path(program("busybox")).resolve()
    for name in APPLETS:
        tree.links[f"usr/bin/{name}"] = "busybox"
    # As every image has them that speaks to the world; some clients want them for plain HTTP too.
    tree.files["etc/ssl/certs/ca-certificates.crt"] = SITE / "certifi" / "cacert.pem"
    tree.add_folder(library, library.as_posix().lstrip("/"), skip=unused)
    modules = [*sorted((library / "lib-dynload").glob("*.so")), *sorted(SITE.rglob("*.so"))]
    tree.files.update(shared_libraries([*REAL, *modules]))
    return tree


def shared_libraries(needing: list[Path]) -> dict[str, Path]:
    """Where the image must have each shared library -> the file; those that packages bring themselves apart."""
    told = subprocess.run(["ldd", *map(str, needing)], check=False, capture_output=True, text=True)
    found = {}
    for path in re.findall(r"(?:=> |^\t)(/\S+) \(0x", told.stdout, re.MULTILINE):
        if not Path(path).is_relative_to(SITE):
            place = path if path.startswith("/usr/") else f"/usr{path}"
            found[place.lstrip("/")] = Path(path).resolve()
    return found


def site_tree() -> Tree:
    """flytekit and all third-party packages, with flytekit's commands."""
    tree = Tree()
    tree.add_folder(SITE, "opt/site")
    for described in SITE.glob("flytekit-*.dist-info/entry_points.txt"):
        parser = configparser.ConfigParser()
        parser.read(described)
        for name, place in parser["console_scripts"].items():
            tree.texts[f"usr/local/bin/{name}"] = (launcher(place), 0o755)
    return tree


def own_tree() -> Tree:
    """flyte-jupyter as this checkout has it: the last layer, made anew in a few seconds."""
    tree = Tree()
    tree.add_folder(compiled(ROOT / "flyte_jupyter"), "opt/flyte-jupyter/flyte_jupyter")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for name, place in project["scripts"].items():
        tree.texts[f"usr/local/bin/{name}"] = (launcher(place), 0o755)
    return tree


def compiled(package: Path) -> Path:
    """A copy of a package with its modules compiled, as an installer leaves it; the same one until the package changes."""
    source = Tree()
    source.add_folder(package, package.name, skip={"__pycache__", "labextension"}.__contains__)
    copy = IMAGES / f"compiled-{source.key()}"
    if not copy.exists():
        for old in IMAGES.glob("compiled-*"):
            shutil.rmtree(old)
        draft = IMAGES / "compiled.draft"
        shutil.rmtree(draft, ignore_errors=True)
        for target, file in source.files.items():
            (draft / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, draft / target)
        rule = ["-q", "--invalidation-mode", "unchecked-hash", "-s", draft, "-p", "/opt/flyte-jupyter"]  # fmt: skip
        subprocess.run([PYTHON, "-m", "compileall", *rule, draft], check=False)
        draft.rename(copy)
    return copy / package.name


def unused(name: str) -> bool:
    """Whether tasks do without this part of the standard library."""
    return name in UNUSED or name.startswith("config-")


def launcher(place: str) -> str:
    """The script of a command."""
    module, function = place.split(":")
    return f"#!/usr/bin/python3\nimport sys\n\nfrom {module} import {function}\n\nsys.exit({function}())\n"
