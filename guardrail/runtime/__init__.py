"""How one guarded call runs, from its input to its record."""
