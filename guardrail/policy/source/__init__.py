"""Reads the files of a bundle: the folder, the text of its policies, links and templates."""
