"""Two versions of a folder with every kind of entry, and a server that has both."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.crash.commands import Server, run
from tests.crash.material import noise
from tests.support.folder_worlds import seen

__all__ = ["STAGING", "Versions", "grow", "serving_folders"]

STAGING: Final = ".casync-part"

_LONG_AGO: Final = 1_600_000_000_123_456_789


def grow(root: Path, version: int, small: int = 6) -> None:
    """Creates one of two versions, with a number of small files."""
    (root / "sub" / "deep").mkdir(parents=True)
    (root / f"only {version}").mkdir()
    for number in range(small):
        (root / "sub" / f"{number}").write_bytes(noise(number * (version + 1), 500 + number))
    large = bytearray(noise(99, 400_000))
    if version:
        large[200_000:200_010] = b"inserted here"
    (root / "sub" / "deep" / "large").write_bytes(large)
    (root / "same").write_bytes(noise(7, 3000))
    (root / "link").symlink_to(f"sub/{version}")
    (root / f"only {version}" / "empty").touch()
    os.link(root / "sub" / f"{version}", root / "two names")
    kind = root / "kind"
    kind.mkdir() if version else kind.touch()
    for path in [*root.rglob("*"), root]:
        os.utime(path, ns=(_LONG_AGO, _LONG_AGO + version), follow_symlinks=False)


class Versions:
    """Both versions, on a server as `www@1` and `www@2`.

    Attributes:
        url: URL of the server.
        seen: The entries of each version, by path.
    """

    def __init__(self, roots: list[Path], url: str) -> None:
        self.url = url
        self.seen = [seen(root) for root in roots]

    def torn(self, target: Path) -> Iterator[str]:
        """Files of a target with neither the old nor the new bytes."""
        for path in target.rglob("*"):
            where = str(path.relative_to(target))
            if where.startswith(STAGING) or not path.is_file() or path.is_symlink():
                continue
            known = [version[where][4] for version in self.seen if where in version]
            if path.read_bytes() not in known:
                yield f"{where} is neither the old nor the new one"

    def is_new(self, target: Path) -> bool:
        """Whether a target has the new version, apart from modes and times."""
        found = {where: stamp for where, stamp in seen(target).items() if STAGING not in where}
        contents = [
            {where: (stamp[0], stamp[4]) for where, stamp in each.items()}
            for each in (found, self.seen[1])
        ]
        return contents[0] == contents[1]


@contextmanager
def serving_folders(place: Path, small: int = 6) -> Iterator[Versions]:
    """Creates both versions below `place`, and serves them."""
    roots = [place / "old", place / "new"]
    for version, root in enumerate(roots):
        grow(root, version, small)
        done = run("prepare", root, "--store", place / "store", "--name", "www")
        assert done.returncode == 0, done.stderr.decode()
    with Server(place / "store") as server:
        yield Versions(roots, server.url)
