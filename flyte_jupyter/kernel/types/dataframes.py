"""pandas DataFrames as structured datasets, stored as Parquet."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flyte_jupyter.idl import core
from flyte_jupyter.kernel.types.errors import Unfit, UnsupportedType, shown
from flyte_jupyter.kernel.types.primitives import literal_kind
from flyte_jupyter.kernel.types.registry import Converter, TypeRegistry
from flyte_jupyter.kernel.types.storage import Storage

_FORMAT = "parquet"
_COPY_ON_WRITE_SINCE = 3
"""The first major version of pandas in which a shallow copy can be changed without changing the original."""


class DataFrames:
    """The family of `pandas.DataFrame`. pandas is imported only when a table is read without an annotation."""

    def converter(self, python_type: Any, registry: TypeRegistry) -> Converter | None:
        """The converter of ``pandas.DataFrame``."""
        del registry
        if not inspect.isclass(python_type) or python_type.__name__ != "DataFrame":
            return None
        if python_type.__module__.partition(".")[0] != "pandas":
            return None
        return DataFrameConverter(python_type)

    def python_type(self, literal_type: core.LiteralType, registry: TypeRegistry) -> Any | None:
        """``pandas.DataFrame`` for a structured dataset."""
        del registry
        if literal_type.WhichOneof("type") != "structured_dataset_type":
            return None
        try:
            import pandas as pd
        except ImportError:
            raise UnsupportedType(
                "reading a table needs pandas and pyarrow: pip install 'flyte-jupyter[dataframe]'"
            ) from None
        return pd.DataFrame


@dataclass(frozen=True)
class DataFrameConverter:
    """pandas DataFrames with text column names."""

    kind: type[Any]
    name: str = "pandas.DataFrame"
    literal_type: core.LiteralType = field(
        default_factory=lambda: core.LiteralType(
            structured_dataset_type=core.StructuredDatasetType()
        ),
        repr=False,
    )

    def check(self, value: Any) -> Any:
        """The table as a copy, so that two tasks never share one."""
        self._require_table(value)
        import pandas as pd

        major = int(pd.__version__.partition(".")[0])
        return value.copy(deep=major < _COPY_ON_WRITE_SINCE)

    def encode(self, value: Any, storage: Storage) -> core.Literal:
        """A structured dataset literal; the table is written as one Parquet file."""
        self._require_table(value)
        path = storage.scratch() / "table.parquet"
        try:
            value.to_parquet(path)
        except ImportError as error:
            raise Unfit(
                self.name, str(error), "Install it: pip install 'flyte-jupyter[dataframe]'"
            ) from None
        except (TypeError, ValueError) as error:  # pyarrow's errors are among these
            raise Unfit(
                "a pandas.DataFrame that Parquet can hold",
                f"one it cannot: {error}",
                "Give each column one type",
            ) from None
        dataset = core.StructuredDataset(
            uri=storage.put(path, path.name),
            metadata=core.StructuredDatasetMetadata(
                structured_dataset_type=core.StructuredDatasetType(format=_FORMAT)
            ),
        )
        path.unlink(missing_ok=True)
        return core.Literal(scalar=core.Scalar(structured_dataset=dataset))

    def decode(self, literal: core.Literal, storage: Storage) -> Any:
        """The table, read from Parquet."""
        if literal.scalar.WhichOneof("value") != "structured_dataset":
            raise Unfit(self.name, literal_kind(literal))
        dataset = literal.scalar.structured_dataset
        stored = dataset.metadata.structured_dataset_type.format
        if stored not in ("", _FORMAT):
            raise Unfit("a table stored as Parquet", f"one stored as {stored}")
        import pandas as pd

        path = storage.scratch() / Path(dataset.uri).name
        storage.get(dataset.uri, path)
        return pd.read_parquet(path)

    def _require_table(self, value: Any) -> None:
        if not isinstance(value, self.kind):
            raise Unfit(self.name, shown(value))
        odd = [column for column in value.columns if not isinstance(column, str)]
        if odd:
            raise Unfit(
                "a pandas.DataFrame whose column names are str",
                f"one with the column {odd[0]!r}",
                "Rename them: df.columns = df.columns.map(str)",
            )
