"""Much of one kind to be done at once, of which most waits for nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

Asked = TypeVar("Asked")
Made = TypeVar("Made")


async def together(
    make: Callable[[Asked], Awaitable[Made]], asked: Sequence[Asked], most: int
) -> list[Made]:
    """What is made of each, in their order, at most so many at once. One that fails ends it, with its error.

    The caller does it all itself as long as nothing waits: a task for each would cost more than most of them do. Whoever
    has to wait is followed by another who goes on with the rest.
    """
    made: dict[int, Made] = {}
    left = iter(enumerate(asked))
    loop = asyncio.get_running_loop()
    working, failed = 0, False

    async def work() -> None:
        nonlocal working, failed
        working += 1
        call = loop.call_soon(follow)  # comes to pass only once this one waits
        try:
            for place, each in left:
                made[place] = await make(each)
        except BaseException:
            failed = True
            raise
        finally:
            call.cancel()
            working -= 1

    def follow() -> None:
        if not failed and working < most and len(made) + working < len(asked):
            group.create_task(work())

    try:
        async with asyncio.TaskGroup() as group:
            await work()
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [made[place] for place in range(len(asked))]
