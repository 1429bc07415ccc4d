"""The tests of the runner need its packages, which `make test` does not install."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("cosmic_ray") else ["test_mutation.py"]
