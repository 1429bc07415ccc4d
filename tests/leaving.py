"""All that leaves with an output: what is printed, stored, sent, and reachable in memory."""

from __future__ import annotations

import dataclasses
import gc
import io
import json
import pickle
import types
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pydantic


def holds(output: Any, canary: str) -> list[str]:
    """Return the forms of an output in which a canary stands."""
    wanted = canary.encode()
    found = {form for form, data in forms(output) if wanted in data or canary in _text(data)}
    return sorted(found)


def _text(data: bytes) -> str:
    """Return bytes as text: an array of fixed strings has four of them per letter."""
    return data.decode("utf-32-le", "ignore") if len(data) % 4 == 0 else ""


def forms(output: Any) -> Iterator[tuple[str, bytes]]:
    """Yield every form in which an output can leave, by name."""
    yield "repr", repr(output).encode("utf-8", "backslashreplace")
    with suppress(Exception):
        yield "pickle", pickle.dumps(output)
    with suppress(TypeError, ValueError):
        yield "json", json.dumps(output, ensure_ascii=False, default=_plain).encode()
    for part in _parts(output):
        yield from _forms_of(part)


def _plain(value: Any) -> Any:
    if isinstance(value, pydantic.BaseModel):
        return value.model_dump(by_alias=True)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return repr(value)


def _forms_of(part: Any) -> Iterator[tuple[str, bytes]]:
    kind = type(part).__name__
    if isinstance(part, str):
        yield "text in memory", part.encode("utf-8", "surrogatepass")
    elif isinstance(part, bytes | bytearray):
        yield "bytes in memory", bytes(part)
    elif isinstance(part, BaseException):
        yield "arguments of an exception", repr(part.args).encode()
    elif isinstance(part, pydantic.BaseModel):
        with suppress(Exception):
            yield "model_dump(by_alias=True)", repr(part.model_dump(by_alias=True)).encode()
            yield "model_dump_json", part.model_dump_json(by_alias=True).encode()
    elif isinstance(part, np.ndarray):
        yield "array", repr(part.tolist()).encode()
        yield "array's dtype", repr((part.dtype, part.dtype.metadata, part.dtype.fields)).encode()
        if part.dtype.kind != "O":
            yield "array's memory", part.tobytes()
    elif isinstance(part, pd.DataFrame):
        yield "columns", repr((list(part.columns), part.columns.names, part.index.names)).encode()
        yield "attrs", repr(part.attrs).encode()
        yield "frame", part.to_json().encode()
        with suppress(Exception):
            yield from _forms_of(pa.Table.from_pandas(part))
    elif isinstance(part, pd.Series | pd.Index):
        yield (
            kind,
            repr(
                (
                    part.tolist(),
                    part.names
                    if isinstance(part, pd.Index)
                    else (part.name, part.index.names, part.attrs),
                )
            ).encode(),
        )
    elif isinstance(part, pd.Categorical):
        yield "categories", repr(part.categories.tolist()).encode()
    elif isinstance(part, pl.DataFrame):
        for name, write in (("IPC", part.write_ipc), ("Parquet", part.write_parquet)):
            with suppress(Exception):
                memory = io.BytesIO()
                write(memory, compression="uncompressed")
                yield f"polars' {name}", memory.getvalue()
        yield "polars' rows", repr((part.rows(), part.schema)).encode()
    elif isinstance(part, pl.Series):
        yield "polars' series", repr((part.to_list(), part.name, part.dtype)).encode()
    elif isinstance(part, pa.Table):
        yield "Arrow's schema", repr((part.schema, part.schema.metadata)).encode()
        yield "Arrow's rows", repr(part.to_pylist()).encode()
        memory = pa.BufferOutputStream()
        with pa.ipc.new_stream(memory, part.schema) as stream:
            stream.write_table(part)
        yield "Arrow's IPC", memory.getvalue().to_pybytes()
        with suppress(pa.ArrowException):
            target = io.BytesIO()
            pq.write_table(part, target, compression="none", use_dictionary=False)
            yield "Parquet", target.getvalue()


_NOT_DATA = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType,
             types.FrameType, types.CodeType, types.MethodType)  # fmt: skip


def _parts(output: Any) -> Iterator[Any]:
    """Yield whatever an object holds, at every depth; classes and functions are no data."""
    seen: set[int] = set()
    waiting = [output]
    held = []
    while waiting and len(seen) < 20_000:
        part = waiting.pop()
        if id(part) in seen or isinstance(part, _NOT_DATA):
            continue
        seen.add(id(part))
        held.append(part)  # so that no other gets its id
        yield part
        if isinstance(part, Mapping):
            with suppress(Exception):
                waiting.extend([*part.keys(), *part.values()])
        if isinstance(part, np.ndarray) and part.base is not None:
            waiting.append(part.base)
        if isinstance(part, pd.Series | pd.DataFrame | pd.Index):
            continue  # what these are made of is no output: their forms are looked at
        waiting.extend(gc.get_referents(part))
        waiting.extend(getattr(part, "__dict__", {}).values())
