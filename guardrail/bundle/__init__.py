"""From a bundle's folder to a running guard: assembly, reload, watch, findings.

Internal: applications import nothing from here.
"""
