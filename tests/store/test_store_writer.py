"""Many writers, one transaction: each is told about its own, after it is on disk."""

from __future__ import annotations

import asyncio

import pytest
from store_world import new_execution, run

from flyte_jupyter.store.database import Database
from flyte_jupyter.store.errors import AlreadyExists, StoreClosed
from flyte_jupyter.store.executions import Executions


def count(db: Database):
    return db.read(lambda c: c.exec_driver_sql("SELECT epoch FROM lease").scalar())


def add(amount: int = 1, error: Exception | None = None):
    def change(transaction):
        transaction.connection.exec_driver_sql("UPDATE lease SET epoch = epoch + ?", (amount,))
        if error is not None:
            raise error
        return amount

    return change


def test_a_change_that_raises_undoes_itself_alone(path):
    async def story():
        db = Database.open(path)
        changes = [add(1), add(10, KeyError("mine")), add(100), add(1000, ValueError("theirs"))]
        results = await asyncio.gather(*map(db.write, changes * 50), return_exceptions=True)
        assert [type(result) for result in results[:4]] == [int, KeyError, int, ValueError]
        assert await count(db) == 50 * 101
        await db.close()

    asyncio.run(story())


def test_a_bad_statement_is_the_callers_own_mistake(path):
    async def story():
        db = Database.open(path)
        wrong = db.write(lambda t: t.connection.exec_driver_sql("SELECT nothing FROM nowhere"))
        results = await asyncio.gather(db.write(add()), wrong, return_exceptions=True)
        assert results[0] == 1
        assert "nowhere" in str(results[1])
        assert await count(db) == 1
        await db.close()

    asyncio.run(story())


def test_callbacks_come_after_the_commit_and_before_the_caller_goes_on(path):
    async def story():
        db = Database.open(path)
        order = []

        def change(transaction):
            transaction.after_commit(told)
            transaction.after_commit(told)

        def told():
            order.append("told")

        def failing(transaction):
            transaction.after_commit(lambda: order.append("never"))
            raise KeyError

        await db.write(change)
        order.append("on")
        with pytest.raises(KeyError):
            await db.write(failing)
        assert order == ["told", "on"]
        await db.close()

    asyncio.run(story())


def test_who_asks_hears_that_its_write_is_nearly_there_unless_it_failed(path):
    async def story():
        db = Database.open(path)
        order = []

        async def write(name, change):
            try:
                await db.write(change, nearly=lambda: order.append(f"{name} nearly"))
            except ValueError:
                order.append(f"{name} failed")
            else:
                order.append(f"{name} done")

        await write("alone", add())
        await write("bad", add(error=ValueError("mine")))
        assert order == ["alone nearly", "alone done", "bad failed"]
        del order[:]
        changes = [add(), add(error=ValueError("mine")), add()]
        await asyncio.gather(*(write(f"w{at}", c) for at, c in enumerate(changes)))
        assert sorted(order) == ["w0 done", "w0 nearly", "w1 failed", "w2 done", "w2 nearly"]
        assert all(order.index(f"{w} nearly") < order.index(f"{w} done") for w in ("w0", "w2"))
        await db.close()

    asyncio.run(story())


def test_a_cancelled_caller_leaves_its_write(path):
    async def story():
        db = Database.open(path)
        waiting = asyncio.create_task(db.write(add()))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await db.write(add(10))
        assert await count(db) == 11
        await db.close()

    asyncio.run(story())


def test_closing_finishes_what_was_handed_in(path):
    async def story():
        db = Database.open(path)
        waiting = [asyncio.create_task(db.write(add())) for _ in range(200)]
        await asyncio.sleep(0)
        await db.close()
        assert sum(await asyncio.gather(*waiting)) == 200
        with pytest.raises(StoreClosed):
            await db.write(add())
        again = Database.open(path)
        assert await count(again) == 200
        await again.close()

    asyncio.run(story())


def test_a_reader_sees_one_moment(path):
    async def story():
        db = Database.open(path)
        writing = asyncio.create_task(many(db))

        def twice(connection):
            look = "SELECT epoch FROM lease"
            return [connection.exec_driver_sql(look).scalar() for _ in range(50)]

        while not writing.done():
            assert len(set(await db.read(twice))) == 1
        await db.close()

    async def many(db):
        for _ in range(100):
            await db.write(add())

    asyncio.run(story())


def test_a_reader_cannot_write(path):
    async def story():
        db = Database.open(path)
        with pytest.raises(Exception, match="cannot be written"):
            await db.read(lambda c: c.exec_driver_sql("UPDATE lease SET epoch = 7"))
        assert await count(db) == 0
        await db.close()

    asyncio.run(story())


def test_of_two_who_want_one_name_at_once_one_gets_it(path):
    async def story():
        db = Database.open(path)
        executions = Executions(db)
        results = await asyncio.gather(
            *(executions.create(new_execution()) for _ in range(20)), return_exceptions=True
        )
        assert sum(result is None for result in results) == 1
        assert sum(isinstance(result, AlreadyExists) for result in results) == 19
        assert (await executions.get(run())).id.name == "a"
        await db.close()

    asyncio.run(story())
