"""Reading the journal: calls, filters, verification, export to OTLP."""
