from guardrail._core._words_py import Choices as Choices
from guardrail._core._words_py import check_text as check_text
from guardrail._core._words_py import check_views as check_views
from guardrail._core._words_py import measure_text as measure_text
from guardrail._core._words_py import measure_views as measure_views
