"""The error of this package."""


class AttachError(ValueError):
    """A placement, an adapter file and a model do not match. The message says where, and what to do."""
