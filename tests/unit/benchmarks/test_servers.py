from pathlib import Path

from benchmarks.servers import Server, fetched_bytes

LOG = """serving st on http://127.0.0.1:8455
2026-11-21T09:38:41.145Z 127.0.0.1 POST /v1/objects/fetch 200 objects=1 bytes=160 seconds=0.008
2026-11-21T09:38:41.149Z 127.0.0.1 GET /v1/info 200 bytes=300 seconds=0.002
2026-11-21T09:38:41.152Z 127.0.0.1 POST /v1/objects/stat 200 objects=2 bytes=2807 seconds=0.001
2026-11-21T09:38:41.172Z 127.0.0.1 POST /v1/objects/fetch 200 objects=76 bytes=690 seconds=0.006
"""


def test_objects_are_told_from_other_answers() -> None:
    assert fetched_bytes(LOG) == 850
    assert fetched_bytes("") == 0


def test_requests_are_those_of_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(LOG)
    assert Server("http://127.0.0.1:1", 1, log).requests() == 4
    log.write_text('127.0.0.1 - - [21/Nov/2026] "GET /files/a.img HTTP/1.1" 206 10 "-" "curl"\n')
    assert Server("http://127.0.0.1:1", 1, log).requests() == 1
