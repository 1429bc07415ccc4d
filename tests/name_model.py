"""A stand-in for a model that finds names."""


class Names:
    """Finds the name Ada; a stand-in for a model."""

    name = "person"
    timeout_s = 5.0
    batch_size = 16
    held_chars = 8

    def __init__(self, **attributes):
        self.batches = []
        vars(self).update(attributes)

    def find(self, texts):
        self.batches.append(list(texts))
        return [
            [(at, at + 3) for at in range(len(text)) if text.startswith("Ada", at)]
            for text in texts
        ]
