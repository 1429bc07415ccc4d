"""The entity uid, compiled: see `_entity_py`, its definition."""


cdef str exact(text):
    if type(text) is str:
        return text
    if not isinstance(text, str):
        raise TypeError(f"the type and the id of an Entity are text, got {type(text).__name__}")
    return str.__str__(text)


cdef class Entity:
    """A Cedar entity uid as a value: ``Entity("Role", "clinician")``.

    The only way in which a fact or an attribute can name an entity; a dict that looks
    like one stays a record. Equal by uid, not by class: a `Resource` is the entity that it
    names. Ordered by type, then by id. Both are exactly text: of a subclass, which may call
    itself equal to what it is not, the text is taken.

    Raises `TypeError` for anything but text.
    """

    cdef readonly str type
    cdef readonly str id

    __match_args__ = ("type", "id")

    def __cinit__(self, type, id):  # once per object: what is made is never changed
        self.type = exact(type)
        self.id = exact(id)

    def __eq__(self, other):
        if not isinstance(other, Entity):
            return NotImplemented
        cdef Entity uid = <Entity>other
        return self.type == uid.type and self.id == uid.id

    def __hash__(self):
        return hash((self.type, self.id))

    def __lt__(self, other):
        if not isinstance(other, Entity):
            return NotImplemented
        cdef Entity uid = <Entity>other
        return (self.type, self.id) < (uid.type, uid.id)

    def __str__(self):
        escaped = self.id.replace("\\", "\\\\").replace('"', '\\"')
        return f'{self.type}::"{escaped}"'

    def __repr__(self):
        return f"{self.__class__.__name__}(type={self.type!r}, id={self.id!r})"

    def __reduce__(self):
        return (self.__class__, (self.type, self.id))
