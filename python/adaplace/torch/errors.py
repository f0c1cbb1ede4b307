"""The one error of this package."""


class AttachError(ValueError):
    """A placement, an adapter file and a model do not fit together; the message says where and what to do."""
