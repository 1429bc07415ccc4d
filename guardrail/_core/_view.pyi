from guardrail._core._view_py import View as View
from guardrail._core._view_py import look as look
