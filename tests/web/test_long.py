"""A conversation of many megabytes: the page stays at hand while it is read."""

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.conftest import Daemon
from tests.session import Session
from tests.web.conftest import Site

TURNS = 12
WATCH = """window.long = [];
new PerformanceObserver(list => window.long.push(...list.getEntries().map(one => one.duration))).observe({entryTypes: ['longtask']});"""
SPEAK = "seq -f 'turn {n} %.0f: a line of some words, such as an agent writes' 22000"
REST = "(t => t.scrollHeight - t.scrollTop - t.clientHeight)(document.querySelector('.talk'))"
PLAIN = """() => {
    const text = document.querySelector('.talk').textContent, plain = document.createElement('pre');
    const before = performance.now();
    plain.textContent = text;
    document.body.append(plain);
    plain.getBoundingClientRect();
    const took = performance.now() - before;
    plain.remove();
    return took;
}"""


@pytest.mark.slow(15)
def test_a_conversation_of_twelve_megabytes_is_shown_without_long_tasks(
    context: BrowserContext, site: Site, shared: Daemon
) -> None:
    """Long is measured against what the browser needs, here and now, to lay the same text out as one."""
    session = Session.new(shared)
    for n in range(TURNS):
        session.ask(SPEAK.format(n=n))
    page = context.new_page()
    page.add_init_script(WATCH)
    page.goto(site.link)
    page.wait_for_selector("#link.live")
    page.evaluate("window.long = []")
    page.goto(f"{site.link}#session/{session.id}")
    answers = page.locator("article.agent pre")
    expect(answers.last).to_contain_text(f"turn {TURNS - 1} 22000:")
    page.wait_for_function(f"{REST} < 40")
    older = page.get_by_role("button", name="Earlier turns")
    while (shown := answers.count()) < TURNS:
        older.click()
        expect(answers).to_have_count(min(TURNS, shown + 5))
    session.ask("echo the end")
    expect(answers.last).to_have_text("the end")
    assert page.evaluate("document.querySelector('.talk').textContent.length") > 12_000_000
    long = page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(() => done(window.long))))")
    plain = page.evaluate(PLAIN)
    assert sum(long) < plain / 3, f"long tasks of {long} ms, and {plain:.0f} ms for the same text as one"


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
    page = context.new_page()
    page.add_init_script(WATCH)
    page.goto(f"{site.link}#session/{session.id}")
    page.wait_for_selector("#link.live")
    page.evaluate("window.long = []")
    line = session.ask("yes word | head -n 200000 | tr '\\n' ' '")
    expect(page.locator("article.agent .block")).to_have_count(len(line) // 16000 + 1)
    long = page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(() => done(window.long))))")
    plain = page.evaluate(PLAIN)
    assert sum(long) < 2 * plain, f"long tasks of {long} ms, and {plain:.0f} ms for the same text as one"
    assert page.evaluate(COPY) == line
