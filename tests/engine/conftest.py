"""Worlds to run engines in."""

from __future__ import annotations

import asyncio

import pytest
from engine_worlds import World


@pytest.fixture
def play():
    """Run a scenario on a world and one started engine."""

    def run(scenario, **settings):
        async def main():
            world = World(**settings)
            engine = world.engine()
            await engine.start()
            try:
                return await scenario(world, engine)
            finally:
                await engine.stop()

        return asyncio.run(main())

    return run
