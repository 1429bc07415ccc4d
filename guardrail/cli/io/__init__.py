"""Modules that the commands share: the terminal, requests, file formats."""
