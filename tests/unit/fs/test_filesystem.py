from __future__ import annotations

from pathlib import Path

import pytest

from casync.fs.filesystem import Coherence, classify, file_system


@pytest.mark.parametrize(
    ("magic", "name", "coherence"),
    [
        (0x6969, "NFS", Coherence.NETWORK),
        (0xFF534D42, "CIFS", Coherence.NETWORK),
        (0xFE534D42, "SMB", Coherence.NETWORK),
        (0x01021997, "9p", Coherence.NETWORK),
        (0x65735546, "FUSE", Coherence.NETWORK),
        (0x794C7630, "overlay", Coherence.LAYERED),
        (0xEF53, "0xef53", Coherence.LOCAL),
        (0x9123683E, "0x9123683e", Coherence.LOCAL),  # btrfs: exceeds a signed 32-bit integer
    ],
)
def test_a_file_system_is_classified_by_its_magic(
    magic: int, name: str, coherence: Coherence
) -> None:
    assert classify(magic) == (name, coherence)


def test_the_kernel_is_asked() -> None:
    assert file_system(Path("/proc")) == ("0x9fa0", Coherence.LOCAL)
    with pytest.raises(OSError, match="No such file"):
        file_system(Path("/proc/nothing"))
