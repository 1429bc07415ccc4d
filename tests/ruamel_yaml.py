"""What ruamel.yaml makes of a text, in plain Python: the reference of the YAML reader."""

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from guardrail.errors import Place


class Refused(Exception):
    """ruamel does not read the text."""


def read(file, text, tags=None, limit_places=100_000):
    """Return data and places of a text."""
    yaml = YAML(typ="safe", pure=True)
    yaml.allow_duplicate_keys = False
    own = {tag: lambda _, node, make=make: make(node.value) for tag, make in (tags or {}).items()}
    yaml.constructor.yaml_constructors = {**yaml.constructor.yaml_constructors, **own}
    places = {}
    try:
        root = yaml.compose(text)
        if root is None:
            return None, places
        _add_places(file, root, places, limit_places)
        return yaml.constructor.construct_document(root), places
    except (YAMLError, ValueError, LookupError, AttributeError, TypeError, ArithmeticError,
            AssertionError, RecursionError) as error:  # fmt: skip
        raise Refused from error


def _add_places(file, root, places, limit):
    stack = [((), root)]
    while stack:
        path, node = stack.pop()
        places.setdefault(path, Place(file, node.start_mark.line + 1, node.start_mark.column + 1))
        if len(places) > limit:
            raise Refused
        if node.id == "mapping":
            for key, value in node.value:
                name = key.value if key.id == "scalar" else "?"
                mark = key.start_mark
                places[(*path, name)] = Place(file, mark.line + 1, mark.column + 1)
                stack.append(((*path, name), value))
        elif node.id == "sequence":
            stack.extend(((*path, index), item) for index, item in enumerate(node.value))
