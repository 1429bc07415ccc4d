from guardrail._core._codes_py import check_codes as check_codes
from guardrail._core._codes_py import check_objects as check_objects
from guardrail._core._codes_py import measure_objects as measure_objects
