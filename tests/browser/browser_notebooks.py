"""Small notebooks for the browser tests."""

from __future__ import annotations

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
MIME = "application/vnd.flyte.execution.v1+json"
SETUP = "%load_ext flyte_jupyter\nfrom flyte_jupyter import Deck, launch, map_task, task, workflow"


def code(cell_id: str, source: str, outputs: list[dict] | None = None) -> dict:
    """One code cell; with outputs it looks as if it had been run."""
    return {
        "cell_type": "code",
        "id": cell_id,
        "metadata": {},
        "source": source,
        "outputs": outputs or [],
        "execution_count": 1 if outputs else None,
    }


def notebook(*cells: dict) -> dict:
    """A notebook of these cells, after one that loads the extension."""
    return {
        "cells": [code("setup", SETUP), *cells],
        "metadata": {"kernelspec": KERNEL, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def launching(call: str) -> dict:
    """The cell `launch`, which launches and shows the execution."""
    return code("launch", f"run = launch({call})\nrun")


def waiting(gate: str) -> dict:
    """A workflow with a node that waits until a file is there, or for its end."""
    return notebook(
        code("first", "@task\ndef first() -> str:\n    print('here we go')\n    return 'ready'"),
        code(
            "patient",
            "@task\n"
            "def patient(word: str, gate: str) -> str:\n"
            "    import time\n"
            "    from pathlib import Path\n\n"
            "    print(f'{word}, waiting', flush=True)\n"
            "    while not Path(gate).exists():\n"
            "        time.sleep(0.05)\n"
            "    print('let through')\n"
            "    return Path(gate).name",
        ),
        code(
            "flow",
            "@workflow\ndef slow(gate: str) -> str:\n    return patient(word=first(), gate=gate)",
        ),
        launching(f"slow, gate={gate!r}"),
    )


def failing() -> dict:
    """A workflow whose second node raises, deep in a helper of another cell."""
    return notebook(
        code("numbers", "@task\ndef numbers() -> list[int]:\n    return [3, 2, 1, 0]"),
        code(
            "helper",
            "# Kept in a cell of its own: the traceback has to find it.\n\n"
            "def inverse(number: int) -> float:\n"
            "    return 1 / number",
        ),
        code(
            "divide",
            "@task\ndef divide(numbers: list[int]) -> list[float]:\n"
            "    return [inverse(number) for number in numbers]",
        ),
        code("total", "@task\ndef total(numbers: list[float]) -> float:\n    return sum(numbers)"),
        code(
            "flow",
            "@workflow\ndef doomed() -> float:\n    return total(numbers=divide(numbers=numbers()))",
        ),
        launching("doomed"),
    )


def quick(word: str = "done") -> dict:
    """A workflow of two nodes that is over at once."""
    return notebook(
        code("say", "@task\ndef say(word: str) -> str:\n    print(word)\n    return word"),
        code("shout", "@task\ndef shout(word: str) -> str:\n    return word.upper()"),
        code(
            "flow", "@workflow\ndef quick(word: str) -> str:\n    return shout(word=say(word=word))"
        ),
        launching(f"quick, word={word!r}"),
        code("wait", "run.wait();"),
    )


def mapping(gate: str) -> dict:
    """A map over four items: one fails, one has to be tried twice, one waits until a file is there."""
    return notebook(
        code(
            "judge",
            "from flyte_jupyter import RecoverableError, current_context\n\n"
            "@task(cache='1', retries=1)\n"
            "def judge(x: int, gate: str) -> int:\n"
            "    import time\n"
            "    from pathlib import Path\n\n"
            "    print(f'item of {x}', flush=True)\n"
            "    if x == 1:\n"
            "        raise ValueError('one is not judged')\n"
            "    if x == 2 and current_context().attempt == 0:\n"
            "        raise RecoverableError('not at once')\n"
            "    while x == 3 and not Path(gate).exists():\n"
            "        time.sleep(0.05)\n"
            "    return x",
        ),
        code(
            "count",
            "@task\ndef count(given: list[int | None]) -> int:\n    return len(given)",
        ),
        code(
            "flow",
            "from functools import partial\n\n"
            "@workflow\n"
            "def judged(gate: str) -> int:\n"
            "    each = map_task(partial(judge, gate=gate), min_success_ratio=0.5)\n"
            "    return count(given=each(x=[0, 1, 2, 3]))",
        ),
        launching(f"judged, gate={gate!r}"),
        code("wait", "run.wait();"),
    )


def remembering() -> dict:
    """A workflow of one cached node, launched twice."""
    return notebook(
        code("twice", "@task(cache='1')\ndef twice(x: int) -> int:\n    return 2 * x"),
        code("flow", "@workflow\ndef doubled(x: int) -> int:\n    return twice(x=x)"),
        launching("doubled, x=21"),
        code("wait", "run.wait();"),
        code("again", "again = launch(doubled, x=21)\nagain.wait()\nagain"),
    )
