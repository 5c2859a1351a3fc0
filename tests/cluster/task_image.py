"""The images that test pods run: Debian's own Python with flytekit and this checkout of flyte-jupyter, and a pause image."""

from __future__ import annotations

import configparser
import fcntl
import re
import subprocess
import tomllib
from pathlib import Path

from cluster_places import CACHE, ROOT, program
from image_archive import Layer, Tree, layer, write_archive

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
UNUSED = {"test", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "config-3.11-x86_64-linux-gnu"}  # fmt: skip


def image_archives() -> list[Path]:
    """The archives of both images, made anew where something changed."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with (IMAGES / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return [pause_archive(), task_archive()]


def pause_archive() -> Path:
    """The archive of the pause image."""
    tree = Tree(
        files={"bin/busybox": Path(program("busybox")).resolve()},
        links={"bin/sh": "busybox", "bin/sleep": "busybox"},
    )
    config = {"Entrypoint": ["/bin/sh", "-c", PAUSE], "Env": ["PATH=/bin"], "User": str(USER)}
    return _archive("pause", PAUSE_IMAGE, [layer("pause", tree, IMAGES)], config)


def task_archive() -> Path:
    """The archive of the task image: no entrypoint, because Flyte gives the whole command."""
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
    return _archive("task", TASK_IMAGE, layers, config)


def _archive(name: str, image: str, layers: list[Layer], config: dict) -> Path:
    key = "-".join(one.digest.removeprefix("sha256:")[:12] for one in layers)
    file = IMAGES / f"archive-{name}-{key}.tar"
    if not file.exists():
        for old in IMAGES.glob(f"archive-{name}-*.tar"):
            old.unlink()
        write_archive(file, image, layers, config)
    return file


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
    tree.add_folder(library, library.as_posix().lstrip("/"), skip=UNUSED.__contains__)
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
    """flyte-jupyter as this checkout has it: the last layer, made anew in a second."""
    tree = Tree()
    package = ROOT / "flyte_jupyter"
    compiled_elsewhere = {"__pycache__", "labextension"}
    tree.add_folder(package, "opt/flyte-jupyter/flyte_jupyter", skip=compiled_elsewhere.__contains__)  # fmt: skip
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for name, place in project["scripts"].items():
        tree.texts[f"usr/local/bin/{name}"] = (launcher(place), 0o755)
    return tree


def launcher(place: str) -> str:
    """The script of a command."""
    module, function = place.split(":")
    return f"#!/usr/bin/python3\nimport sys\n\nfrom {module} import {function}\n\nsys.exit({function}())\n"
