from guardrail._core._column_py import check_nulls as check_nulls
from guardrail._core._column_py import check_numbers as check_numbers
