from guardrail._core._tape_py import Tape as Tape
from guardrail._core._tape_py import crc_of as crc_of

def _crc32(data: bytes, check: int = 0, is_portable: bool = False) -> int: ...
