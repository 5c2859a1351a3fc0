"""What gates wait for and what people answered, by run and name."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from flyte_jupyter.engine.core import codec
from flyte_jupyter.engine.core.observations import SignalSet
from flyte_jupyter.idl import admin, core
from flyte_jupyter.idl.ids import RunId
from flyte_jupyter.idl.types import mismatch
from flyte_jupyter.store import dialect
from flyte_jupyter.store.database import Database, Transaction
from flyte_jupyter.store.errors import AlreadyTerminal, InvalidSignal
from flyte_jupyter.store.listings import SIGNALS
from flyte_jupyter.store.node_executions import row_id
from flyte_jupyter.store.query import Page, Query
from flyte_jupyter.store.runs import send
from flyte_jupyter.store.selecting import page
from flyte_jupyter.store.tables import runs, signals

_of_name = (
    signals.c.run_id == bindparam("run"),
    signals.c.signal == bindparam("of"),
)
_find = dialect.Prepared(select(signals.c.type, signals.c.value).where(*_of_name))
_open = dialect.Prepared(signals.insert())
_answer = dialect.Prepared(signals.update().where(*_of_name).values(value=bindparam("answer")))
_final = dialect.Prepared(select(runs.c.final).where(runs.c.id == bindparam("run")))


class SqlSignals:
    """Implements `flyte_jupyter.engine.ports.Signals`, and what people ask and answer."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def open(self, run: RunId, signal: str, kind: core.LiteralType, node: str) -> bool:
        """Let the signal be answered, with a value of this type; returns whether it is answered already.

        Opening it again changes nothing: the first gate that waits for a signal says what it is. Raises `NotFound`.
        """

        def add(transaction: Transaction) -> bool:
            run_id = row_id(transaction.connection, run)
            found = _find.first(transaction.connection, {"run": run_id, "of": signal})
            if found is not None:
                return found[1] is not None
            row = {"run_id": run_id, "signal": signal, "node": node}
            row["type"] = kind.SerializeToString(deterministic=True)
            _open.run(transaction.connection, row)
            return False

        return await self._db.write(add)

    async def value(self, run: RunId, signal: str) -> core.Literal | None:
        """The answer; None while there is none. Raises `NotFound` for the run."""

        def find(connection: Connection) -> core.Literal | None:
            named_by = {"run": row_id(connection, run), "of": signal}
            found = _find.first(connection, named_by)
            if found is None or found[1] is None:
                return None
            return core.Literal.FromString(found[1])

        return await self._db.read(find)

    async def set_signal(self, run: RunId, signal: str, value: core.Literal) -> None:
        """Answer a signal and tell the run, in one transaction; a later answer replaces an earlier one.

        Raises:
            NotFound: there is no such execution.
            AlreadyTerminal: it has ended.
            InvalidSignal: no gate waits or has waited for this signal, or the value is not of its type.
        """

        def answer(transaction: Transaction) -> None:
            connection = transaction.connection
            run_id = row_id(connection, run)
            if _final.first(connection, {"run": run_id})[0]:
                raise AlreadyTerminal(
                    f"{run} has ended: nothing waits for signal {signal} any more"
                )
            found = _find.first(connection, {"run": run_id, "of": signal})
            if found is None:
                raise InvalidSignal(
                    f"{run} has no signal {signal!r} (yet): list its signals to see what it waits for"
                )
            kind = core.LiteralType.FromString(found[0])
            why = mismatch(value, kind)
            if why is not None:
                raise InvalidSignal(f"Signal {signal!r} of {run} does not take this value: {why}")
            given = value.SerializeToString(deterministic=True)
            _answer.run(connection, {"run": run_id, "of": signal, "answer": given})
            message = codec.encode_observation(SignalSet(signal))
            send(self._db, transaction, run_id, run, message)

        await self._db.write(answer)

    async def list(self, run: RunId, query: Query) -> Page[admin.Signal]:
        """The signals of an execution, the first opened first unless the query sorts. Raises `NotFound`."""

        def find(connection: Connection) -> Page[admin.Signal]:
            only = select(signals).where(signals.c.run_id == row_id(connection, run))
            found = page(connection, only, SIGNALS, query)
            return Page([_signal(run, row) for row in found.items], found.token)

        return await self._db.read(find)


def _signal(run: RunId, row: Row[Any]) -> admin.Signal:
    made = admin.Signal(type=core.LiteralType.FromString(row.type))
    made.id.signal_id = row.signal
    of = made.id.execution_id
    of.project, of.domain, of.name = run.project, run.domain, run.name
    if row.value is not None:
        made.value.MergeFromString(row.value)
    return made
