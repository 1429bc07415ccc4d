from guardrail._core._gate_py import Gate as Gate
