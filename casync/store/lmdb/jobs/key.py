"""Seals the secrets of jobs: header fields, passwords and presigned queries of addresses.

They are encrypted by AES-256-GCM with a key in a file of the store's folder, which no backup takes
along; so a copy of the data file reveals none. A sealed text belongs to one job of one store and
opens nowhere else.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from casync.errors import DamagedStoreError, NotFoundError
from casync.fs.sync import sync_names
from casync.store.lmdb.lmdb_errors import translate
from casync.store.lmdb.lock_files import locked
from casync.store.lmdb.ownership import KEY_FILE, check_private

__all__ = ["JobKey"]

_CONTEXT: Final = b"casync 2026-11-30 job secrets"
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class JobKey:
    """The key of one store. It is made when something is sealed for the first time.

    Args:
        path: The store's folder.
        store_id: The 16 bytes of the store's UUID.
    """

    def __init__(self, path: Path, store_id: bytes) -> None:
        self._path = path
        self._store_id = store_id

    def seal(self, ident: str, place: bytes, plain: bytes) -> bytes:
        """Seals bytes of the job `ident`.

        Args:
            ident: The job.
            place: What they are; they open as nothing else.
            plain: The bytes.

        Returns:
            12 random bytes, the encrypted bytes, and a tag of 16 bytes.

        Raises:
            DeniedError: The key file is not private.
            NoSpaceError, WriteError: It cannot be made.
        """
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # few stores have secrets

        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + AESGCM(self._made()).encrypt(nonce, plain, self._bound(ident, place))

    def open(self, ident: str, place: bytes, sealed: bytes, what: str) -> bytes:
        """Opens what `seal` returned.

        Args:
            ident: The job.
            place: As in `seal`.
            sealed: The sealed bytes.
            what: What they are, for people.

        Raises:
            NotFoundError: The key is missing, or is not the one that sealed them.
            DeniedError: The key file is not private.
        """
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            key = self._read()
        except OSError as error:
            raise translate(error, self._path) from error
        if key is None:
            raise self._lost(ident, what, f"{self._path / KEY_FILE} is missing")
        nonce, sealed = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return AESGCM(key).decrypt(nonce, sealed, self._bound(ident, place))
        except (InvalidTag, ValueError) as error:  # the latter of a short nonce
            reason = f"{self._path / KEY_FILE} is not the key that sealed this"
            raise self._lost(ident, what, reason) from error

    def _lost(self, ident: str, what: str, reason: str) -> NotFoundError:
        return NotFoundError(
            f"job {ident} lacks its secrets ({what}): {reason}",
            next_step="Run its `casync download` command again, with them: it continues the job.",
        )

    def _bound(self, ident: str, place: bytes) -> bytes:
        return b"".join((_CONTEXT, self._store_id, ident.encode(), place))

    def _made(self) -> bytes:
        """The key, made if it is missing."""
        try:
            found = self._read()
            if found is not None:
                return found
            with locked(self._path):
                return self._read() or self._make()
        except OSError as error:
            raise translate(error, self._path, need=_KEY_BYTES) from error

    def _make(self) -> bytes:
        """Makes the key aside, so that the file is whole whenever it is there."""
        aside = self._path / f"{KEY_FILE}.new"
        with suppress(FileNotFoundError):
            aside.unlink()  # of a killed process
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        key = secrets.token_bytes(_KEY_BYTES)
        fd = os.open(aside, flags, 0o600)
        try:
            os.write(fd, key)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(aside, self._path / KEY_FILE)
        sync_names(self._path)
        return key

    def _read(self) -> bytes | None:
        path = self._path / KEY_FILE
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError:
            check_private(path, path.lstat())  # names a link
            raise
        try:
            check_private(path, os.fstat(fd))
            key = os.read(fd, _KEY_BYTES + 1)
        finally:
            os.close(fd)
        if len(key) != _KEY_BYTES:
            raise DamagedStoreError(f"{path} is not a key of {_KEY_BYTES} bytes")
        return key
