from guardrail._core._nested_py import find_character as find_character
from guardrail._core._nested_py import measure as measure
