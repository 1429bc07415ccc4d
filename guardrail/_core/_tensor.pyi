from array import array
from typing import Any

def check_tensor(
    buffer: Any,
    lows: array[float] | None,
    highs: array[float] | None,
    finite: bool,
) -> tuple[int, int]: ...
def count_bad(
    buffer: Any,
    lows: array[float] | None,
    highs: array[float] | None,
    finite: bool,
) -> int: ...
def vector_path() -> str: ...
def _sum_words(buffer: Any) -> int: ...
