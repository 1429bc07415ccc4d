from guardrail._core._layout_py import Layout as Layout
from guardrail._core._layout_py import Run as Run
