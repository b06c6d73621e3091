"""Trees that are made by hand, and which no folder would give."""

from __future__ import annotations

import os
from collections.abc import Sequence

from casync.ids import Kind, ManifestId, chunk_id
from casync.objects.codec import Packer, Verified
from casync.objects.manifest import Manifest, encode_manifest
from casync.objects.node import EMPTY, Content
from casync.objects.tree import Entry, Folder, Meta, encode_entry, encode_root
from casync.store.base import Batch, ManifestState
from tests.support.pulling import PARAMS, MemoryServer

__all__ = ["META", "Forger"]

META = Meta(0o755, 1_700_000_000_000_000_000, os.geteuid(), os.getegid(), "", "", ())


class Forger(MemoryServer):
    """A server whose trees are made by hand."""

    def chunk(self, data: bytes) -> Content:
        if not data:
            return EMPTY
        self.commit(Batch([Packer().pack_new(Kind.CHUNK, data)]))
        return Content(0, chunk_id(data), len(data))

    def folder(self, entries: Sequence[Entry | bytes]) -> Content:
        """A folder of entries, or of bytes in their place."""
        return self.chunk(b"".join(e if isinstance(e, bytes) else encode_entry(e) for e in entries))

    def tree(self, entries: Sequence[Entry | bytes], meta: Meta = META) -> ManifestId:
        return self.root(self.folder(entries), meta)

    def root(self, content: Content, meta: Meta = META) -> ManifestId:
        manifest = Manifest("tree", PARAMS, self.chunk(encode_root(Folder(b"", meta, content))))
        packed: Verified = Packer().pack_new(Kind.MANIFEST, encode_manifest(manifest))
        ident = ManifestId(packed.id)
        self.commit(Batch([packed], [(ident, ManifestState.FULL, manifest.length)]))
        return ident
