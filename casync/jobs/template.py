r"""Templates: many texts written as one, and made one by one.

::

    braces   prefix{000..140}gap{1..9..2}suffix    any number of ranges, each with an optional step
    at       prefix@100gap@20suffix                 @100 is {000..100}
    format   prefix%06dsuffix                       one number without an end, from 0 on

The first kind that a text has counts, in this order. A range is padded with zeros to the shorter of
its two ends as they are written. Of several ranges the last one changes fastest. `\{`, `\}`, `\@`
and `\%` are the characters themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from casync.errors import UsageError
from casync.jobs.address import Address, redacted
from casync.limits import MAX_NAME_BYTES

__all__ = [
    "Template",
    "TemplateRange",
    "address_template",
    "parse_template",
]

_MAX_NUMBER: Final = 2**63 - 1
_ESCAPE: Final = re.compile(r"\\([{}@%])")
_MASK: Final = "\0"
"""Stands for an escaped character while a text is searched."""

_DIGITS: Final = re.compile(r"[0-9]+")
_AT: Final = re.compile(r"@([0-9]*)")
_AT_IN_ADDRESS: Final = re.compile(r"@([0-9]{2,})(?![A-Za-z0-9_/]|\.[0-9])|@(0[0-9]+)(?=/)")
_FORMAT: Final = re.compile(r"%(?:0([0-9]+))?d")
_FORMAT_IN_ADDRESS: Final = re.compile(r"%(?:0([0-9]{1,3})d|d(?![0-9A-Fa-f]))")


class TemplateRange(NamedTuple):
    """A range of numbers, and the text up to the next one.

    Attributes:
        start: The first number.
        end: The last number, if a step hits it.
        step: What is added each time.
        width: Digits that numbers are padded to.
        gap: The text after it.
    """

    start: int
    end: int
    step: int
    width: int
    gap: str

    @property
    def length(self) -> int:
        """How many numbers it has."""
        return (self.end - self.start) // self.step + 1

    @property
    def has_one_width(self) -> bool:
        """Whether all of its numbers have equally many digits."""
        last = self.start + (self.length - 1) * self.step
        return len(str(last)) <= max(self.width, len(str(self.start)))


class Template:
    """The texts of a template, by index. None is made before it is asked for.

    Args:
        prefix: The text before the first range.
        ranges: The ranges; without any, the prefix is the only text.

    Raises:
        UsageError: There are more texts than an index can count.
    """

    def __init__(self, prefix: str, ranges: tuple[TemplateRange, ...]) -> None:
        self.prefix = prefix
        self.ranges = ranges
        self._count = 1
        for part in ranges:
            self._count *= part.length
        if self._count > _MAX_NUMBER:
            raise UsageError("the template has more than 2^63 texts")

    @property
    def is_endless(self) -> bool:
        """Whether it has a number without an end."""
        return any(part.end == _MAX_NUMBER - 1 for part in self.ranges)

    def __len__(self) -> int:
        """How many texts there are."""
        return self._count

    def __getitem__(self, index: int) -> str:
        """The text at `index`: its digits in the mixed radix of the ranges choose the numbers."""
        if not 0 <= index < self._count:
            raise IndexError(index)
        texts: list[str] = []
        for start, end, step, width, gap in reversed(self.ranges):
            index, digit = divmod(index, (end - start) // step + 1)
            texts.append(gap)
            texts.append(str(start + digit * step).zfill(width))
        texts.append(self.prefix)
        texts.reverse()
        return "".join(texts)

    def __iter__(self) -> Iterator[str]:
        """All texts, in order."""
        return map(self.__getitem__, range(self._count))

    def __eq__(self, other: object) -> bool:
        """Whether both make the same texts from the same parts."""
        if not isinstance(other, Template):
            return NotImplemented
        return (self.prefix, self.ranges) == (other.prefix, other.ranges)

    def __hash__(self) -> int:
        return hash((self.prefix, self.ranges))

    def __repr__(self) -> str:
        return f"Template({self.prefix!r}, {self.ranges!r})"


def parse_template(text: str) -> Template:
    """Reads a template of any kind. A text without a range is the template of itself.

    Raises:
        UsageError: It is empty, or breaks the rules of the kind that it has.
    """
    if not text:
        raise UsageError("the template is empty")
    literal, mask = _unescape(text)
    if "{" in mask or "}" in mask:
        return _braces(literal, mask, text)
    if "@" in mask:
        return _at(literal, mask, text)
    if mask.count("%") == 1:
        return _format(literal, mask, text)
    return Template(literal, ())


def address_template(address: Address) -> Template:
    r"""The addresses that the address of a source stands for: one, or those of a template.

    Braces are ranges anywhere. The other kinds count behind the host only, and where they are not
    more likely something else: `@` is a range with two digits or more, unless a letter, a dot with
    a digit, or a slash follows (`pkg@18.2.0`, `icon@2x.png`, `pkg@18/`; `@018/` is one), and `%d`
    is a number unless a hex digit follows (`%d0` is an encoded byte).

    Raises:
        UsageError: A brace begins no range, or there are two `%d`.
    """
    text = str(address)
    literal, mask = _unescape(text)
    if "{" in mask or "}" in mask:
        return _braces(literal, mask, redacted(text))
    start = 0 if address.is_local else mask.find("/", mask.find("://") + 3)
    if start < 0:
        return Template(literal, ())
    if not address.names_manifests and (found := list(_AT_IN_ADDRESS.finditer(mask, start))):
        return _at_ranges(literal, found, redacted(text))
    if found := list(_FORMAT_IN_ADDRESS.finditer(mask, start)):
        if len(found) > 1:
            raise UsageError(
                f"{redacted(text)} has several numbers without an end",
                next_step=r"Write {0000..9999} for all but one of them, or \% for a percent sign.",
            )
        return _format_range(literal, found[0], redacted(text))
    return Template(literal, ())


def _unescape(text: str) -> tuple[str, str]:
    """A text with its escapes undone, and the same with a mask for what was escaped."""
    if _MASK in text:
        raise UsageError("a template holds a NUL character")
    return _ESCAPE.sub(r"\1", text), _ESCAPE.sub(_MASK, text)


def _braces(literal: str, mask: str, shown: str) -> Template:
    left = mask.find("{")
    if left < 0 or "}" in mask[:left]:
        raise _refusal(shown, "a brace is missing")
    prefix, ranges = literal[:left], []
    while left >= 0:
        right = mask.find("}", left)
        if right < 0:
            raise _refusal(shown, "a brace is missing")
        after = mask.find("{", right)
        gap = slice(right + 1, after if after >= 0 else None)
        if after >= 0 and "}" in mask[gap]:
            raise _refusal(shown, "a brace is missing")
        ranges.append(_range(literal[left + 1 : right], literal[gap], shown))
        left = after
    return Template(prefix, tuple(ranges))


def _range(inside: str, gap: str, shown: str) -> TemplateRange:
    numbers = inside.split("..")
    if "{" in inside:
        raise _refusal(shown, "braces are nested")
    if "," in inside:
        raise _refusal(shown, f"{{{inside}}} is a choice of words, which templates do not have")
    if len(numbers) == 2 and all(len(end) == 1 and end.isalpha() for end in numbers):
        raise _refusal(shown, f"{{{inside}}} is a range of letters, which templates do not have")
    if not 2 <= len(numbers) <= 3 or not all(_DIGITS.fullmatch(number) for number in numbers):
        raise _refusal(shown, f"{{{inside}}} is not a range")
    start, end, step = (_number(number, shown) for number in [*numbers, "1"][:3])
    if start > end:
        raise _refusal(shown, f"{{{inside}}} begins above its end")
    if not step:
        raise _refusal(shown, f"{{{inside}}} has a step of 0")
    return TemplateRange(start, end, step, _width(min(map(len, numbers[:2]))), gap)


def _at(literal: str, mask: str, shown: str) -> Template:
    found = list(_AT.finditer(mask))
    if not found or not all(match[1] for match in found):
        raise _refusal(shown, "@ is not followed by a number")
    return _at_ranges(literal, found, shown)


def _at_ranges(literal: str, found: list[re.Match[str]], shown: str) -> Template:
    ends = [match.start() for match in found[1:]] + [len(literal)]
    ranges = [
        TemplateRange(0, _number(digits, shown), 1, _width(len(digits)), literal[at.end() : end])
        for at, end in zip(found, ends, strict=True)
        for digits in [at[0][1:]]
    ]
    return Template(literal[: found[0].start()], tuple(ranges))


def _format(literal: str, mask: str, shown: str) -> Template:
    found = _FORMAT.search(mask)
    if found is None or mask.count("%") != 1:
        raise _refusal(shown, "it does not have exactly one % that begins %d or %06d")
    return _format_range(literal, found, shown)


def _format_range(literal: str, found: re.Match[str], shown: str) -> Template:
    width = _width(_number(found[1] or "0", shown))
    part = TemplateRange(0, _MAX_NUMBER - 1, 1, width, literal[found.end() :])
    return Template(literal[: found.start()], (part,))


def _number(digits: str, shown: str) -> int:
    significant = digits.lstrip("0")
    number = int(significant or "0") if len(significant) <= 19 else _MAX_NUMBER + 1
    if number > _MAX_NUMBER:
        raise _refusal(shown, "a number is above 2^63 - 1")
    return number


def _width(width: int) -> int:
    if width > MAX_NAME_BYTES:
        raise UsageError(f"a template pads numbers to at most {MAX_NAME_BYTES} digits")
    return width


def _refusal(shown: str, reason: str) -> UsageError:
    return UsageError(
        f"the template {shown} is not valid: {reason}",
        next_step=r"Write ranges as {0001..0100} or {0..100..2}, and literal braces as \{ and \}.",
    )
