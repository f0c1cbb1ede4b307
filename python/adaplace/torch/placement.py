"""The forms in which a placement can be passed to `attach`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Union

from adaplace._adaplace import AdaplaceError, BackboneReference, Placement, PlacementFile

from .errors import AttachError

PathLike = Union[str, "os.PathLike[str]"]

# The source and the target of a connection.
Pair = tuple[int, int]


def read_placement(
    given: PathLike | Mapping[str, Any] | Placement | PlacementFile,
) -> tuple[Placement, BackboneReference | None]:
    """The placement and the backbone that it was made for, which only a placement file tells."""
    if isinstance(given, Placement):
        return given, None
    if isinstance(given, Mapping):
        try:
            file = PlacementFile.from_document(dict(given))
        except (AdaplaceError, ValueError) as error:
            raise AttachError(f"the placement: {error}") from error
    elif isinstance(given, PlacementFile):
        file = given
    else:
        try:
            file = PlacementFile.read(given)
        except AdaplaceError as error:
            raise AttachError(str(error)) from error
    return file.placement, file.backbone
