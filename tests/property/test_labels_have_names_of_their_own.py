"""Law: distinct labels have distinct names, and a name gives its label back."""

from __future__ import annotations

from urllib.parse import unquote

from hypothesis import assume, given
from hypothesis import strategies as st

from casync.errors import UsageError
from casync.jobs.naming import name_below
from casync.names.name import parse_name

LABELS = st.lists(
    st.sampled_from(["", "a", "job", ".", "..", "-", "deadbeef", "%2F", "a b", ":@\\", "\udcff"])
    | st.text(max_size=5),
    min_size=1,
    max_size=5,
).map("/".join)


@given(st.sampled_from(["", "set/", "a/b/"]), LABELS)
def test_names(dest: str, label: str) -> None:
    assume(label)
    try:
        label.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return
    name = name_below(dest, label)
    assert parse_name(name) == name
    assert name.startswith(dest)
    assert unquote(name[len(dest) :], errors="surrogateescape") == label


@given(LABELS)
def test_labels_are_names_or_an_error_of_ours(label: str) -> None:
    try:
        name_below("", label)
    except UsageError:
        return
