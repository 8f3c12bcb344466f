"""A conversation of many megabytes: the page stays at hand while it is read."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.conftest import Daemon, wait_until
from tests.session import Session
from tests.web.conftest import Site, Watched

TURNS = 12
SPEAK = "seq -f 'turn {n} %.0f: a line of some words, such as an agent writes' 22000"
REST = "(t => t.scrollHeight - t.scrollTop - t.clientHeight)(document.querySelector('.talk'))"
LONG = 50  # ms; what browsers call long


@contextmanager
def no_long_task(page: Page) -> Iterator[None]:
    """No task of the page takes long, in processor time: on a busy machine the time of day tells what others do."""
    trace: list[dict[str, Any]] = []
    ended: list[object] = []
    devtools = page.context.new_cdp_session(page)
    devtools.on("Tracing.dataCollected", lambda found: trace.extend(found["value"]))
    devtools.on("Tracing.tracingComplete", lambda found: ended.append(found))
    categories = ["__metadata", "disabled-by-default-devtools.timeline"]
    devtools.send("Tracing.start", {"traceConfig": {"includedCategories": categories}})
    yield
    devtools.send("Tracing.end")
    wait_until(lambda: page.wait_for_timeout(20) or ended, "the trace ends")
    names = {(one["pid"], one["tid"]): one["args"]["name"] for one in trace if one["name"] == "thread_name"}
    mains = [
        one for one in trace if names.get((one["pid"], one["tid"])) == "CrRendererMain" and one["name"] == "RunTask"
    ]
    took = sorted(one.get("tdur", 0) / 1000 for one in mains)
    assert len(took) > 20
    assert took[-1] < LONG, f"tasks of {took[-5:]} ms"


# Work of 20 steps, 3 ms each, and one of one step; who had a turn meanwhile.
PIECES = """async () => {
    const {Pace} = await import('/pace.js'), pace = new Pace(), seen = [];
    const busy = () => { for (const end = performance.now() + 3; performance.now() < end;); };
    const steps = function* (name, count) { for (let n = 0; n < count; n++) { busy(); yield; } seen.push(name); };
    await pace.add(steps('short', 1));
    const tick = () => { seen.push('tick'); if (!seen.includes('long')) setTimeout(tick); };
    setTimeout(tick);
    const long = pace.add(steps('long', 20)), next = pace.add(steps('next', 1));
    seen.push('added');
    await Promise.all([long, next]);
    return seen;
}"""


def test_long_work_leaves_turns_to_others_and_keeps_its_order(watched: Watched) -> None:
    short, added, *rest = watched.page.evaluate(PIECES)
    assert (short, added) == ("short", "added")
    assert rest.index("long") >= 3, "nothing else was done meanwhile"
    assert rest.index("next") > rest.index("long")


@pytest.mark.slow(15)
def test_a_conversation_of_twelve_megabytes_is_shown_without_long_tasks(
    context: BrowserContext, site: Site, shared: Daemon
) -> None:
    session = Session.new(shared)
    for n in range(TURNS):
        session.ask(SPEAK.format(n=n))
    page = context.new_page()
    page.goto(site.link)
    page.wait_for_selector("#link.live")
    with no_long_task(page):
        page.goto(f"{site.link}#session/{session.id}")
        answers = page.locator("article.agent pre")
        last = page.locator("article.agent").last.locator(".block").last
        expect(last).to_contain_text(f"turn {TURNS - 1} 22000:")
        page.wait_for_function(f"() => {REST} < 40")
        older = page.get_by_role("button", name="Earlier turns")
        while (shown := answers.count()) < TURNS:
            older.click()
            expect(answers).to_have_count(min(TURNS, shown + 5))
            expect(page.locator(".older:disabled")).to_have_count(0)
        session.ask("echo the end")
        expect(last).to_have_text("the end")
    assert page.evaluate("document.querySelector('.talk').textContent.length") > 12_000_000


COPY = """() => {
    getSelection().selectAllChildren(document.querySelector('article.agent pre'));
    const event = new ClipboardEvent('copy', {clipboardData: new DataTransfer(), bubbles: true, cancelable: true});
    document.querySelector('article.agent pre').dispatchEvent(event);
    return event.clipboardData.getData('text/plain');
}"""


@pytest.mark.slow(12)
def test_a_line_of_a_megabyte_is_shown_without_long_tasks_and_copied_as_one(
    context: BrowserContext, site: Site, shared: Daemon
) -> None:
    session = Session.new(shared)
    line = session.ask("yes word | head -n 200000 | tr '\\n' ' '")
    page = context.new_page()
    page.goto(site.link)
    page.wait_for_selector("#link.live")
    with no_long_task(page):
        page.goto(f"{site.link}#session/{session.id}")
        expect(page.locator("article.agent .block")).to_have_count(len(line) // 16000 + 1)
        page.wait_for_function(f"() => {REST} < 40")
    assert page.evaluate(COPY) == line


@pytest.mark.slow(6)
def test_who_reads_what_is_above_stays_there_while_more_comes(
    context: BrowserContext, site: Site, shared: Daemon
) -> None:
    session = Session.new(shared)
    session.ask("seq 3000")
    page = context.new_page()
    page.goto(f"{site.link}#session/{session.id}")
    page.wait_for_function(f"() => document.querySelector('.talk').scrollTop && {REST} < 40")
    page.locator(".talk").hover()
    page.mouse.wheel(0, -900)
    page.wait_for_function(f"() => {REST} > 500")
    before = page.evaluate("document.querySelector('.talk').scrollTop")
    session.ask("seq 5000")
    expect(page.locator("article.agent")).to_have_count(2)
    expect(page.locator("article.agent").last.locator(".block")).to_have_count(50)
    assert page.evaluate("document.querySelector('.talk').scrollTop") == pytest.approx(before, abs=300)
