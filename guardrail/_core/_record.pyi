from guardrail._core._record_py import as_record as as_record
