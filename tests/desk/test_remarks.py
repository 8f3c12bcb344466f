"""What the daemon remarks in a conversation stands where it was remarked, and moves nothing that was read before."""

from anvilsrv.sessions import remarks
from anvilsrv.sessions.conversation import conversation_page
from tests.desk.parts import Parts


def read(parts: Parts, agent: str, cursor: int = 0) -> tuple[bytes, int]:
    """Return all of the log from there."""
    out = b""
    while True:
        page, cursor = parts.job(lambda tx, cursor=cursor: conversation_page(tx, agent, cursor))
        if not page:
            return out, cursor
        out += page


def heads(log: bytes) -> list[str]:
    return [line.split()[0].decode() for line in log.split(b"\n") if line and line[:1] != b"\t"]


def test_whenever_a_log_is_read_it_goes_on_as_one_that_is_read_later(parts: Parts) -> None:
    agent = parts.idle()
    seen, cursor = b"", 0

    def look() -> None:
        nonlocal seen, cursor
        more, cursor = read(parts, agent, cursor)
        seen += more
        assert read(parts, agent)[0] == seen

    def told(text: str) -> None:
        parts.job(lambda tx: parts.registry.told(tx, agent, [f"planted\t{text}\n"]))
        look()

    told("before")
    for number in range(2):
        parts.taken(agent)
        look()
        told(f"in turn {number}")
        parts.report(agent, "Stop", response="done")
        look()
        told(f"after {number}")
    assert heads(seen) == ["NOTE", *["USER", "NOTE", "ASSISTANT", "NOTE"] * 2]
    assert b"\tplanted: after 1\n" in seen


def test_many_and_long_remarks_come_in_pages_and_the_oldest_go(parts: Parts) -> None:
    agent = parts.idle()
    for number in range(remarks.KEEP + 10):
        parts.job(lambda tx, number=number: remarks.add(tx, agent, f"{number:03000}"))
    page, _ = parts.job(lambda tx: conversation_page(tx, agent, 0))
    assert len(page) < 1 << 17
    assert read(parts, agent)[0].count(b"NOTE") == remarks.KEEP
    parts.job(lambda tx: parts.life.kill(tx, agent))
    assert parts.job(lambda tx: tx.all("SELECT * FROM remarks")) == []
