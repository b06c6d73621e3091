from __future__ import annotations

from pathlib import Path

import pytest

from casync.fs.filesystem import Trust, classify, file_system


@pytest.mark.parametrize(
    ("magic", "name", "trust"),
    [
        (0x6969, "NFS", Trust.NETWORK),
        (0xFF534D42, "CIFS", Trust.NETWORK),
        (0xFE534D42, "SMB", Trust.NETWORK),
        (0x01021997, "9p", Trust.NETWORK),
        (0x65735546, "FUSE", Trust.NETWORK),
        (0x794C7630, "overlay", Trust.LAYERED),
        (0xEF53, "0xef53", Trust.LOCAL),
        (0x9123683E, "0x9123683e", Trust.LOCAL),  # btrfs, above what a signed 32-bit holds
    ],
)
def test_known_magics(magic: int, name: str, trust: Trust) -> None:
    assert classify(magic) == (name, trust)


def test_the_kernel_is_asked() -> None:
    assert file_system(Path("/proc")) == ("0x9fa0", Trust.LOCAL)
    with pytest.raises(OSError, match="No such file"):
        file_system(Path("/proc/nothing"))
