"""``python -m benchmarks``: peers and ourselves, one after the other in one run, with a calibration before and after.

Options: ``--no-peers`` leaves the peers out, ``--quick`` the slow ones (Metaflow, the Jupyter server, the demo);
``--large`` adds what takes minutes: ten thousand nodes and more, and starts after a kill; ``--kubernetes`` is about pods, and nothing else.
"""

from __future__ import annotations

import compileall
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from benchmarks import kubernetes, large, ours
from benchmarks.peer_environments import REQUIREMENTS, SCRIPTS, interpreter
from benchmarks.table import Figure

NOISE = 0.15


def measure_peer(peer: str, length: int) -> dict[str, object]:
    """What a peer's script says, by case; empty when the peer cannot be had."""
    try:
        python = interpreter(peer)
        done = subprocess.run(
            [str(python), str(SCRIPTS / f"{peer}_peer.py"), str(length)],
            capture_output=True, text=True, check=True, timeout=900, cwd=tempfile.gettempdir(),
        )  # fmt: skip
    except (subprocess.SubprocessError, OSError) as error:
        print(f"  {peer} could not be measured: {error}", flush=True)
        return {}
    said: dict[str, object] = {}
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            record = json.loads(line)
            if "version" in record:
                said["version"] = record["version"]
            else:
                said[record["case"]] = record["ms"]
    print(
        f"  {peer} {said.get('version')}: {', '.join(f'{k} {v:.2f} ms' for k, v in said.items() if isinstance(v, float))}",
        flush=True,
    )
    return said


def figures(peers: dict[str, dict[str, object]], quick: bool) -> Iterator[Figure]:
    """Ours, beside what the peers took."""
    from benchmarks import workflows

    def of(case: str, *names: str) -> dict[str, float]:
        found = [n for n in names if case in peers.get(n, {})]
        return {f"{n} {peers[n]['version']}": float(str(peers[n][case])) for n in found}

    alone = of("chain, a process each", "metaflow")
    yield Figure("import flyte_jupyter", ours.import_cost(), "ms", 150)
    kernel = of("chain, in process", "flytekit")
    yield Figure("M0 chain of 40, in the kernel, a task", ours.kernel_chain(), "ms", None, kernel)
    durable = of("chain, durable", "dbos", "dagster", "prefect")
    took = ours.launched(workflows.reused_chain, workflows.LONG)
    yield Figure("M1 chain of 500, durable, reused worker, a node", took, "ms", 2, durable)
    took = ours.launched(workflows.forked_chain, workflows.SHORT)
    yield Figure("M2 chain of 40, durable, a forked process each", took, "ms", 15, alone)
    took = ours.launched(workflows.executed_chain, 10, repeats=2)
    yield Figure("M2 chain of 10, durable, an exec'd process each", took, "ms", None, alone)
    for at_once in (workflows.AT_ONCE, workflows.PLATFORMS):
        took = ours.launched(workflows.wide, workflows.WIDE, at_once=at_once)
        name = f"M1 fan-out of 1,000, durable, reused, {at_once} at once, a node"
        yield Figure(name, took, "ms", 0.5)
    if quick:
        return
    p50, p99 = ours.status_latency()
    yield Figure("/api/status while 1,000 nodes run, p50", p50, "ms")
    yield Figure("/api/status while 1,000 nodes run, p99", p99, "ms", 50)
    without, with_ = (min(ours.jupyter_start(extension=e) for _ in range(4)) for e in (False, True))
    yield Figure("what the extension adds to Jupyter's start", (with_ - without) * 1000, "ms", 200)
    ours.demo()
    yield Figure("make demo, warm", ours.demo(), "s", 20)


def main(words: list[str]) -> int:
    """Measure, print, and say whether the machine was quiet enough to believe it."""
    quick = "--quick" in words
    wanted = (
        []
        if "--no-peers" in words or "--kubernetes" in words
        else [p for p in REQUIREMENTS if not (quick and p == "metaflow")]
    )
    print(
        f"Python {platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    )
    # As where it was installed from a wheel, also when Python may not write here by itself.
    compileall.compile_dir(ours.ROOT / "flyte_jupyter", quiet=1)
    with tempfile.TemporaryDirectory(prefix="fj-bench-") as home:
        os.environ["FLYTE_JUPYTER_DATA_DIR"] = home
        before = ours.calibration()
        peers = {peer: measure_peer(peer, 10 if peer == "metaflow" else 40) for peer in wanted}
        try:
            print(flush=True)
            on_cluster = "--kubernetes" in words
            for row in kubernetes.figures() if on_cluster else figures(peers, quick):
                print(row.line(), flush=True)
            if "--large" in words:
                for row in large.figures():
                    print(row.line(), flush=True)
        finally:
            sys.path.insert(0, str(ours.ROOT / "tests"))
            from pathlib import Path

            from processes import stop_control_plane

            stop_control_plane(Path(home))
        after = ours.calibration()
    drift = abs(after - before) / before
    print(
        f"\ncalibration {before * 1000:.1f} ms before, {after * 1000:.1f} ms after"
        + (": too noisy to believe" if drift > NOISE else "")
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
