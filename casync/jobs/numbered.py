"""Objects with a number whose end is not known: those of a listing that fit a template.

`%06d` in an address stands for the numbers from 0 on. Only a listing can tell which of them exist.
"""

from __future__ import annotations

import re
from typing import Final

from casync.jobs.address import Address, parse_address, split_query
from casync.jobs.naming import percent_decoded
from casync.jobs.spec import JobSpec, SourceKind
from casync.jobs.template import TemplateRange, address_template

__all__ = ["NumberedObjects", "numbered_objects"]

_WITHOUT_ZEROS: Final = "(?:0|[1-9][0-9]*)"


class NumberedObjects:
    """The objects that one number without an end makes.

    Args:
        address: The address before the number.
        number: The number, and what follows it.

    Attributes:
        prefix: What the addresses of all objects begin with, and the query behind it.
    """

    def __init__(self, address: Address, number: TemplateRange) -> None:
        suffix, query = split_query(Address(address.scheme, number.gap))
        self.prefix = Address(address.scheme, address.rest + query)
        if address.has_query:
            suffix = percent_decoded(suffix)
        width = number.width
        digits = _WITHOUT_ZEROS
        if width > 1:
            digits = f"(?:[0-9]{{{width}}}|[1-9][0-9]{{{width},}})"
        self._form = re.compile(digits + re.escape(suffix), re.ASCII)

    def fits(self, rest: str) -> bool:
        """Whether an object is one of them.

        Args:
            rest: What its key has behind the prefix.
        """
        return self._form.fullmatch(rest) is not None


def numbered_objects(spec: JobSpec) -> NumberedObjects | None:
    """The objects of a job whose template has no end; None for any other job."""
    if spec.kind is not SourceKind.TEMPLATE:
        return None
    template = address_template(parse_address(spec.source))
    if not template.is_endless:
        return None
    return NumberedObjects(parse_address(template.prefix), template.ranges[0])
