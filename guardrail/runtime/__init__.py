"""How one guarded call runs, from its input to its record.

Internal: applications import nothing from here.
"""
