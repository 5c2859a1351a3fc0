"""What the engine needs from the world, as Protocols. Adapters implement them; ``tests/ports`` proves each adapter alike.

The shell's seven promises stand in ``docs/architecture.md``; what each adapter owes them is said at its methods.
"""

from flyte_jupyter.engine.ports.blobs import (
    BlobFailure as BlobFailure,
)
from flyte_jupyter.engine.ports.blobs import (
    BlobNotFound as BlobNotFound,
)
from flyte_jupyter.engine.ports.blobs import (
    BlobOutside as BlobOutside,
)
from flyte_jupyter.engine.ports.blobs import (
    Blobs as Blobs,
)
from flyte_jupyter.engine.ports.catalog import (
    CachedOutputs as CachedOutputs,
)
from flyte_jupyter.engine.ports.catalog import (
    CacheKey as CacheKey,
)
from flyte_jupyter.engine.ports.catalog import (
    Catalog as Catalog,
)
from flyte_jupyter.engine.ports.catalog import (
    Reservation as Reservation,
)
from flyte_jupyter.engine.ports.clock import (
    Clock as Clock,
)
from flyte_jupyter.engine.ports.executor import (
    Accepted as Accepted,
)
from flyte_jupyter.engine.ports.executor import (
    AttemptNews as AttemptNews,
)
from flyte_jupyter.engine.ports.executor import (
    AttemptSpec as AttemptSpec,
)
from flyte_jupyter.engine.ports.executor import (
    Executor as Executor,
)
from flyte_jupyter.engine.ports.executor import (
    Listing as Listing,
)
from flyte_jupyter.engine.ports.executor import (
    LogSlice as LogSlice,
)
from flyte_jupyter.engine.ports.executor import (
    NotNow as NotNow,
)
from flyte_jupyter.engine.ports.executor import (
    Ready as Ready,
)
from flyte_jupyter.engine.ports.executor import (
    Rejected as Rejected,
)
from flyte_jupyter.engine.ports.executor import (
    Waits as Waits,
)
from flyte_jupyter.engine.ports.executor import (
    unrivalled as unrivalled,
)
from flyte_jupyter.engine.ports.outside import (
    Children as Children,
)
from flyte_jupyter.engine.ports.outside import (
    ChildResult as ChildResult,
)
from flyte_jupyter.engine.ports.outside import (
    ChildSpec as ChildSpec,
)
from flyte_jupyter.engine.ports.outside import (
    Signals as Signals,
)
from flyte_jupyter.engine.ports.passing import (
    defect as defect,
)
from flyte_jupyter.engine.ports.passing import (
    passes as passes,
)
from flyte_jupyter.engine.ports.runs import (
    Commit as Commit,
)
from flyte_jupyter.engine.ports.runs import (
    Committed as Committed,
)
from flyte_jupyter.engine.ports.runs import (
    Fenced as Fenced,
)
from flyte_jupyter.engine.ports.runs import (
    Lease as Lease,
)
from flyte_jupyter.engine.ports.runs import (
    OwedAction as OwedAction,
)
from flyte_jupyter.engine.ports.runs import (
    RunEvent as RunEvent,
)
from flyte_jupyter.engine.ports.runs import (
    Runs as Runs,
)
from flyte_jupyter.engine.ports.runs import (
    Stale as Stale,
)
from flyte_jupyter.engine.ports.runs import (
    StoreBusy as StoreBusy,
)
from flyte_jupyter.engine.ports.runs import (
    StoredRun as StoredRun,
)
from flyte_jupyter.engine.ports.runs import (
    StoreFull as StoreFull,
)
from flyte_jupyter.engine.ports.world import (
    Ports as Ports,
)
