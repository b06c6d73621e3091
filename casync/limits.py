"""Every bound on size and count, with its unit and its reason."""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
TIB = 1024 * GIB

# -- Objects (docs/FORMAT.md) --------------------------------------------------------------------

MAX_LENGTH = 2**63 - 1
"""Bytes of content: what a signed 64-bit file offset can address."""

MIN_CHUNK_SIZE = 64
"""Bytes. Smallest minimum that FastCDC accepts."""

MAX_CHUNK_SIZE = 16 * MIB
"""Bytes. Each party holds several whole chunks in memory."""

MIN_AVERAGE = 256
"""Bytes. Smallest average that FastCDC accepts."""

MAX_AVERAGE = 4 * MIB
"""Bytes. The default maximum is four times the average."""

NODE_MIN_RECORDS = 16
NODE_MAX_RECORDS = 512
"""Records in a node: about 140 on average, 20 488 bytes at most."""

MAX_LEVEL = 8
"""Levels of nodes. With 140 records a node, 8 levels of the smallest chunks (64 bytes) reach
`MAX_LENGTH`; content crafted so that every node closes early reaches 256 GiB."""

MAX_MANIFEST_BYTES = 4 * KIB
"""Bytes of an encoded manifest. A manifest is a root, never a list."""

MAX_NODE_BYTES = 8 + 40 * NODE_MAX_RECORDS
"""Bytes of an encoded node: its header and its records."""

MAX_ENTRY_BYTES = MIB
"""Bytes of an encoded entry of a folder. Room for all extended attributes that ext4 allows, and
for several of the largest values that other file systems allow."""

MAX_FILE_NAME = 255
"""Bytes of the name of a file, an attribute or an owner: what Linux allows."""

MAX_LINK_TARGET = 4095
"""Bytes of a symbolic link's target: PATH_MAX without its NUL."""

MAX_ATTRIBUTE_BYTES = 64 * KIB
"""Bytes of the value of an extended attribute: what Linux allows."""

MAX_TREE_DEPTH = 2048
"""Nested folders. A reader keeps a name and an offset for each."""

MAX_TREE_PATH = 65535
"""Bytes of a path inside a tree. A hard link spells one out, and a reader holds some at a time."""

MAX_FRAME_BLOCKS = 256
"""Blocks of a zstd frame per started 128 KiB of plain bytes. Encoders make one, or up to 196 where
they split it; a reader walks their headers before it decodes."""

MIN_ZSTD_LEVEL = 1
MAX_ZSTD_LEVEL = 22
"""Levels of payloads. Level 0 and negative levels differ between releases of zstd."""

ZSTD_WINDOW_BYTES = 8 * MIB
"""Bytes of window that a decoder grants when it cannot decode a frame in one call."""

# -- Names ----------------------------------------------------------------------------------------

MAX_NAME_COMPONENT = 255
"""Bytes of one component: what file systems allow."""

MAX_NAME_BYTES = 1024
"""Bytes of a whole name."""

MIN_PREFIX_DIGITS = 8
"""Hex digits of a hash prefix. 32 bits can be brute-forced, so prefixes resolve locally only."""

# -- Member indexes (docs/FORMAT.md section 5.6) --------------------------------------------------

MAX_MEMBERS = 1 << 26
"""Members of an archive that has an index."""

MAX_INDEX_BLOCK = MIB
"""Plain bytes of one block of a member index: 64 KiB, and one row with the longest names."""

MAX_REFUSED_NAMES = 100
"""Names of members that an index leaves out, which it tells. All of them are counted."""

MAX_INDEX_TAIL = 64 * MIB
"""Plain bytes of the tail of a member index: a path for each block. A reader holds them."""

MAX_INDEX_POINTS = 32768
"""Points of a gzip archive in a member index: 256 for each GiB of its plain bytes. While they are
made, each takes 32 KiB of memory."""

# -- Store ----------------------------------------------------------------------------------------

SEGMENT_BYTES = 256 * 4096 - 16
"""Bytes of a segment: 256 LMDB pages less the header of an overflow page."""

COMMIT_BYTES = 32 * MIB
"""Bytes of one commit: payloads plus `OBJECT_BYTES` for each object. Fewer commits are faster."""

OBJECT_BYTES = 4096 + 512
"""Memory that an object needs besides its payload. In a large store each object dirties an index
page of its own until the commit is written."""

MAP_BYTES = 4 * TIB
"""Address space reserved for a store. It is halved until the open succeeds."""

NAMESPACE_MAP_BYTES = 256 * GIB
"""The same for a namespace: a server may have hundreds open. The map grows on demand."""

# -- Jobs ----------------------------------------------------------------------------------------

JOB_WINDOW = 4096
"""Items above the first unfinished one that a job may start. It bounds the row of a job, which is
written with each commit."""

MAX_JOB_CONNECTIONS = 1024
"""Connections that a job may ask for. A server may allow fewer."""

MAX_LIST_ENTRY = MIB
"""Bytes of one entry of a list of objects. One is in memory at a time."""

JOB_CONNECTIONS = 16
"""Connections of a job by default."""

SHOWN_WAITING = 16
"""Objects that wait for another attempt, of those in the row of a job."""

MIN_RATE = 256
"""Smallest limit of bytes per second. With less, no answer ends before its server hangs up."""

MIN_HOURLY = MIB
"""Smallest limit of bytes per hour, which is about the same."""

JOB_BLOCK_ITEMS = 1000
"""Items in one row of a job's list: about 20 KiB of paths, compressed. A reader holds one block."""

MAX_JOB_BLOCK_BYTES = 64 * MIB
"""Plain bytes of such a row: 64 KiB for each item."""

MAX_JOBS = 10_000
"""Jobs in a store, finished ones included. All are read to list them."""

KEPT_JOBS = 1000
"""Finished jobs that a collection keeps however old they are."""

MAX_JOB_REQUEST_BYTES = 8 * MIB
"""Bytes of a request for a job on a server, with some 50 000 objects, which a server decodes at
once. Longer lists are sent in parts."""

# -- Wire (docs/PROTOCOL.md) ----------------------------------------------------------------------

MAX_BATCH_IDS = 1024
"""Ids in one request."""

MAX_BATCH_BASES = 4096
"""Ids of bases in one request: a few for each wanted id."""

MAX_GROUP_BYTES = 4 * MIB
"""Plain bytes of a group: the wanted objects and their bases. Both sides hold several whole groups
in memory."""

MAX_BATCH_BYTES = 64 * MIB
"""Plain bytes that one request may ask for."""

MAX_BATCH_ITEMS = 4096
"""Files and members in one `/v1/batch`: some batches of a training job."""

MAX_BATCH_REQUEST = MIB
"""Bytes of such a request: 256 for each item, when there are so many."""

PAGE_ITEMS = 1000
"""Items in one page of a listing."""

MAX_PUSHES = 1024
"""Pushes that may be open. One more ends the one that was silent for longest."""

MAX_ARCHIVE_HEADER = MIB
"""Bytes of a header of an archive that are read at once: names and attributes, never content."""

MAX_GLOBAL_FIELDS = 1024
"""Fields of pax headers that hold for all members that follow."""

MAX_SPARSE_EXTENTS = 1_000_000
"""Stretches of bytes in one sparse member of a tar: some 100 MB of memory."""

MAX_LEFT_OUT_MEMBERS = 1000
"""Members that are left out when an archive becomes a tree. Each is reported."""

MAX_UNPACKED_RATIO = 200
FREE_UNPACKED_BYTES = 1024 * MIB
"""Plain bytes of a compressed archive: this many for each stored one, and as many as these in any
case. Text has some ten, zeros a thousand."""

BUCKET_SEGMENT_BYTES = 16 * MIB
"""Bytes of a segment in a bucket. Larger ones gain 9 % at best, and are coarser to collect
(docs/adr/0019); a larger record has a segment to itself."""

MAX_BUCKET_HEAD_BYTES = 64 * KIB
"""Bytes of the head of a store in a bucket, which each commit reads and writes."""

MAX_BUCKET_SESSIONS = 512
"""Sessions of writers in a head. One more ends the one that was silent for longest."""

MAX_RUN_BYTES = 256 * MIB
"""Bytes of a run. A reader holds the whole of it."""

MERGED_RUN_BYTES = 16 * MIB
"""Bytes of runs that are merged into one: some 200 MiB of memory. For 10^8 chunks these are 325
runs, 14 KiB of head."""

RUNS_OF_A_LEVEL = 16
"""Runs of one level that are merged into one of the next."""

MAX_MAP_HEAD_BYTES = 64 * MIB
"""Bytes of the head part of a map, plain or packed: some 37 for each node, so 1.7 million nodes."""
