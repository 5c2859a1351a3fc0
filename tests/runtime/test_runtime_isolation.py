"""What makes a process unfit to be forked is seen, and what is preloaded leaves it fit."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap


def in_fresh_python(code: str) -> str:
    """What a single-threaded Python prints; this test's own process may have threads."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True, text=True, check=True, timeout=120,
        env={"PATH": os.environ["PATH"], "OPENBLAS_NUM_THREADS": "4"},
    )  # fmt: skip
    return done.stdout.strip()


def test_a_fresh_process_may_fork():
    said = in_fresh_python(
        "from flyte_jupyter.kernel.runtime import isolation; print(isolation.fork_hazard())"
    )
    assert said == ""


def test_a_thread_is_a_hazard():
    said = in_fresh_python("""
        import threading
        from flyte_jupyter.kernel.runtime import isolation
        end = threading.Event()
        other = threading.Thread(target=end.wait)
        other.start()
        print(isolation.fork_hazard())
        end.set()
    """)
    assert said == "2 threads run"


def test_a_library_that_is_known_to_hang_is_a_hazard():
    said = in_fresh_python("""
        import polars
        from flyte_jupyter.kernel.runtime import isolation
        print(isolation.fork_hazard())
    """)
    assert said == "polars is imported"


def test_a_preload_that_starts_threads_is_not_taken_into_the_parent():
    said = in_fresh_python("""
        import sys
        from flyte_jupyter.kernel.runtime import isolation
        print(isolation.preload(["numpy"]) != "", "numpy" in sys.modules, isolation.fork_hazard() == "")
    """)
    assert said == "True False True"


def test_a_harmless_preload_is():
    said = in_fresh_python("""
        import sys
        from flyte_jupyter.kernel.runtime import isolation
        print(isolation.preload(["decimal", "sqlite3"]) == "", "sqlite3" in sys.modules)
    """)
    assert said == "True True"


def test_a_preload_that_is_not_there_does_not_break_the_parent():
    said = in_fresh_python("""
        from flyte_jupyter.kernel.runtime import isolation
        print(isolation.preload(["there_is_no_such_module"]))
    """)
    assert said.startswith("there_is_no_such_module cannot be shared")


def test_children_are_those_that_run_whoever_started_them():
    said = in_fresh_python("""
        import os, queue, subprocess, sys, threading
        from flyte_jupyter.kernel.runtime import isolation

        started, over = queue.Queue(), subprocess.Popen([sys.executable, "-c", ""])
        os.waitid(os.P_PID, over.pid, os.WEXITED | os.WNOWAIT)  # a zombie from now on

        def start(done):
            started.put(subprocess.Popen(["cat"], stdin=subprocess.PIPE))
            done.wait()

        done = threading.Event()
        threads = [threading.Thread(target=start, args=[done]) for _ in range(2)]
        for thread in threads:
            thread.start()
        both = [started.get() for _ in threads]
        print(sorted(isolation.children()) == sorted(p.pid for p in both))
        done.set()
        for each in both:
            each.communicate()
        print(isolation.children())
    """)
    assert said == "True\n[]"
