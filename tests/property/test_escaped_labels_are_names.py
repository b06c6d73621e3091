"""Law: an escaped label is a valid name, and decoding it gives the label back."""

from __future__ import annotations

from urllib.parse import unquote

from hypothesis import example, given
from hypothesis import strategies as st

from casync.errors import UsageError
from casync.names.name import Name, Ref, escape_name, parse_name, parse_ref

labels = st.lists(
    st.text(min_size=1, max_size=20)
    | st.text("abcdef0123456789", min_size=6, max_size=66)
    | st.sampled_from([".", "..", "-", "job", "download", "%2E", "a:b@c", "\udc80\udcff"]),
    min_size=1,
    max_size=4,
).map("/".join)


@given(labels)
@example("deadbeef")
@example("job")
@example("../-/.")
def test_escape(label: str) -> None:
    try:
        name = escape_name(label)
    except UsageError:
        parts = label.split("/")
        # Only labels without a valid name may be refused: each byte takes at most three characters.
        assert "" in parts or any(
            3 * len(part.encode("utf-8", "surrogatepass")) > 255 for part in parts
        )
        return
    assert parse_name(name) == name
    assert unquote(name, errors="surrogateescape") == label
    assert parse_ref(name) == Ref(name=name)


@given(labels)
def test_escaping_an_escaped_label_is_another_label(label: str) -> None:
    try:
        name = escape_name(label)
        again = escape_name(name)
    except UsageError:
        return
    assert (again == name) == ("%" not in name)


@given(labels, st.integers(0, 10**18 - 1), st.none() | st.text())
def test_refs_are_read_as_they_are_printed(label: str, version: int, path: str | None) -> None:
    try:
        name = escape_name(label)
    except UsageError:
        return
    ref = Ref(name=Name(name), version=version, path=path)
    assert parse_ref(str(ref)) == ref


@given(st.binary(min_size=32, max_size=32), st.integers(8, 64), st.none() | st.text())
def test_hashes_and_prefixes(ident: bytes, digits: int, path: str | None) -> None:
    text = ident.hex()[:digits]
    ref = parse_ref(text if path is None else f"{text}:{path}")
    assert ref.path == path
    assert (ref.manifest == ident) if digits == 64 else (ref.prefix == text)
