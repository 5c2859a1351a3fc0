"""DBOS on SQLite: every step is checkpointed, in the process."""

import sys
import tempfile

from dbos import DBOS
from timing import best, version

LENGTH = int(sys.argv[1])

folder = tempfile.mkdtemp()
DBOS(
    config={
        "name": "bench",
        "system_database_url": f"sqlite:///{folder}/system.sqlite",
        "log_level": "ERROR",
        "run_admin_server": False,
    }
)


@DBOS.step()
def increment(x):
    return x + 1


@DBOS.workflow()
def chain(n):
    x = 0
    for _ in range(n):
        x = increment(x)
    return x


DBOS.launch()
version("dbos")
chain(2)
best("chain, durable", LENGTH, lambda: chain(LENGTH))
DBOS.destroy()
