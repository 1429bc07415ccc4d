"""What checks of inputs and texts cost, each against how it is done without guardrail."""
