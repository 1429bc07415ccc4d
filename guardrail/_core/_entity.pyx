"""The entity uid, compiled; `_entity_py` is the reference."""


cdef str exact(text):
    if type(text) is str:
        return text
    if not isinstance(text, str):
        raise TypeError(f"the type and the id of an Entity are text, got {type(text).__name__}")
    return str.__str__(text)


cdef class Entity:
    """A Cedar entity uid as a value: ``Entity("Role", "clinician")``.

    A fact or an attribute can name an entity only by this class; a dict that looks like an entity
    stays a record. Two entities are equal if their uids are, whatever their classes: a `Resource`
    equals the entity that it names. Entities are ordered by type, then by id. Type and id are
    exactly `str`: a subclass could override comparison, so its plain text is used.

    Raises `TypeError` for anything but text.
    """

    cdef readonly str type
    cdef readonly str id

    __match_args__ = ("type", "id")

    def __cinit__(self, type, id):  # called once per object, so an entity never changes
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
