"""What every peer's script needs: run a case a few times and print one line of JSON. Standard library only."""

import importlib.metadata
import json
import time


def best(case, n, run, repeats=3):
    """The quickest of a few runs, in milliseconds an item: on a shared machine the minimum is disturbed least."""
    took = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        took.append(time.perf_counter() - start)
    print(json.dumps({"case": case, "n": n, "ms": min(took) / n * 1000}), flush=True)


def version(package):
    """Tell which release was measured."""
    print(json.dumps({"version": importlib.metadata.version(package)}), flush=True)
