"""What every `RemoteSource` does. A subclass makes the fixture `source` from `CONTENTS`."""

from __future__ import annotations

import random

import pytest

from casync.errors import NotFoundError, UsageError
from casync.jobs.validators import Validators
from casync.remote.sources.base import Listed, RemoteSource
from casync.remote.sources.remote_object import RemoteObject, read_whole

LARGE = random.Random(13).randbytes(9_000_000)
CONTENTS = {
    "a": b"one",
    "a-b": b"",
    "a.d/x": b"two",
    "d/e/f": b"three" * 1000,
    "d/large": LARGE,
    "sp ace/\u00e9 %2e?#&'\"+;=.txt": b"odd",
}


class SourceContract:
    """Tests of the port. `lists_sizes`: whether its listings have all sizes."""

    lists_sizes = True
    has_ranges = True

    def found(self, source: RemoteSource, key: str) -> Listed:
        found = source.find(key)
        assert found is not None
        return found

    def test_everything_below_a_prefix_is_listed(self, source: RemoteSource) -> None:
        """D2, H3."""
        listed = {one.key: one.size for one in source.list_below("")}
        assert set(listed) == set(CONTENTS)
        if self.lists_sizes:
            assert listed == {key: len(data) for key, data in CONTENTS.items()}
        assert {one.key for one in source.list_below("d/")} == {"d/e/f", "d/large"}

    def test_a_folder_lists_its_objects_and_prefixes(self, source: RemoteSource) -> None:
        """D2, H2."""
        level = source.list_folder("")
        assert sorted(one.key for one in level.objects) == ["a", "a-b"]
        assert sorted(level.prefixes) == ["a.d/", "d/", "sp ace/"]
        level = source.list_folder("d/")
        assert ([one.key for one in level.objects], level.prefixes) == (["d/large"], ["d/e/"])

    def test_objects_are_found_by_their_keys(self, source: RemoteSource) -> None:
        """D2."""
        for key, data in CONTENTS.items():
            found = self.found(source, key)
            assert (found.key, found.size) == (key, len(data))
        for key in ("nothing", "d", "a/b", "d/e"):
            assert source.find(key) is None

    def test_objects_have_their_bytes(self, source: RemoteSource) -> None:
        """D2."""
        for key, data in CONTENTS.items():
            answer = source.open(key)
            assert answer is not None
            with answer:
                assert (answer.start, answer.listed.size) == (0, len(data))
                assert b"".join(answer.blocks()) == data
            assert read_whole(source, key, len(LARGE))[0] == data

    def test_a_part_is_answered_or_the_whole_object(self, source: RemoteSource) -> None:
        """D2."""
        found = self.found(source, "d/large")
        for start, end in ((0, 1), (5, 100), (100, None), (8_999_999, 9_000_000)):
            answer = source.open("d/large", start, end, same=found.validators)
            assert answer is not None
            with answer:
                assert answer.is_ranged == self.has_ranges
                assert answer.start == (start if self.has_ranges else 0)
                expected = LARGE[start:end] if self.has_ranges else LARGE
                assert b"".join(answer.blocks()) == expected
                assert answer.listed.size == len(LARGE)

    def test_a_part_of_another_version_is_answered_whole(self, source: RemoteSource) -> None:
        """D11."""
        other = Validators(etag='"other"', version="other", last_modified=10**18, settled=True)
        answer = source.open("d/e/f", 5, 10, same=other)
        assert answer is not None
        with answer:
            assert (answer.start, answer.is_ranged) == (0, False)
            assert b"".join(answer.blocks()) == CONTENTS["d/e/f"]

    def test_a_part_without_a_proof_is_answered_whole(self, source: RemoteSource) -> None:
        """D11."""
        for same in (None, Validators(), Validators(etag='W/"weak"', last_modified=10**18)):
            answer = source.open("d/e/f", 5, 10, same=same)
            assert answer is not None
            with answer:
                assert b"".join(answer.blocks()) == CONTENTS["d/e/f"]

    def test_an_unchanged_object_is_not_answered(self, source: RemoteSource) -> None:
        """D11."""
        for key in CONTENTS:
            assert source.open(key, unless=self.found(source, key).validators) is None

    def test_a_changed_object_is_answered(self, source: RemoteSource) -> None:
        """D11."""
        other = Validators(etag='"other"', version="other", last_modified=10**17, settled=True)
        answer = source.open("a", unless=other)
        assert answer is not None
        with answer:
            assert b"".join(answer.blocks()) == b"one"

    def test_a_missing_object_is_an_error(self, source: RemoteSource) -> None:
        for key in ("nothing", "d", "a/b"):
            with pytest.raises(NotFoundError) as raised:
                source.open(key)
            assert raised.value.fault == "http"

    def test_a_missing_folder_is_empty_or_an_error(self, source: RemoteSource) -> None:
        try:
            level = source.list_folder("nothing/")
        except NotFoundError:
            return
        assert not level.objects
        assert not level.prefixes

    def test_what_is_not_a_path_is_refused(self, source: RemoteSource) -> None:
        for key in ("../a", "d/../../etc/passwd", "/etc/passwd"):
            with pytest.raises((UsageError, NotFoundError)):
                source.open(key)

    def test_an_object_is_read_in_order(self, source: RemoteSource) -> None:
        """D2."""
        for key, data in CONTENTS.items():
            reader = RemoteObject(source, self.found(source, key))
            for _ in range(2):
                blocks = list(reader.blocks(1 << 20))
                assert b"".join(blocks) == data
                assert all(len(block) <= 1 << 20 for block in blocks)
