"""What stays on the page: its place, what was typed, what was refused; and a browser that keeps nothing."""

from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.conftest import PATIENCE, Daemon
from tests.session import Session
from tests.web.conftest import Site, Watched

HIDE = """hidden => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});
    document.dispatchEvent(new Event('visibilitychange')) }"""


def show(page: Page, site: Site, session: str) -> None:
    page.goto(f"{site.link}#session/{session}")
    expect(page.locator("#session .state")).to_have_text("idle")


def test_a_tab_that_is_shown_again_keeps_its_place_and_gets_what_came_meanwhile(
    watched: Watched, site: Site, shared: Daemon
) -> None:
    page, session = watched.page, Session.new(shared)
    session.ask("seq 300")
    show(page, site, session.id)
    expect(page.locator("article.agent pre")).to_contain_text("300")
    page.evaluate("document.querySelector('.talk').scrollTop = 10")
    page.evaluate("document.querySelector('article.agent').dataset.mine = 'yes'")
    page.get_by_label("Prompt").fill("half a thought")
    with page.expect_event("requestfailed", lambda request: "stream" in request.url):
        page.evaluate(HIDE, True)
    session.ask("echo meanwhile")
    page.evaluate(HIDE, False)
    expect(page.locator("article.agent pre")).to_have_count(2)
    expect(page.locator("article.agent pre").last).to_have_text("meanwhile")
    expect(page.locator("article.user pre")).to_have_text(["seq 300", "echo meanwhile"])
    assert page.evaluate("document.querySelector('.talk').scrollTop") == 10
    assert page.evaluate("document.querySelector('article.agent').dataset.mine") == "yes"
    expect(page.get_by_label("Prompt")).to_have_value("half a thought")
    assert watched.wrong == []


def test_what_was_refused_stands_in_the_form_which_knows_the_home_and_offers_roles_and_tasks(
    watched: Watched, shared: Daemon
) -> None:
    page, home = watched.page, Path(shared.home.env["HOME"])
    (home / "my project").mkdir()
    page.get_by_role("button", name="Start…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Backend").select_option("shell")
    dialog.get_by_label("Directory").fill("~/nowhere")
    dialog.get_by_label("Alias").fill("at-home")
    dialog.get_by_label("Role").select_option("reader")
    dialog.get_by_label("git", exact=True).check()
    dialog.get_by_role("button", name="Start").click()
    expect(dialog.get_by_role("alert")).to_contain_text(f"{home}/nowhere")
    expect(dialog.get_by_label("Alias")).to_have_value("at-home")
    dialog.get_by_label("Directory").fill("~/my project")
    dialog.get_by_role("button", name="Start").click()
    expect(page.locator("#session h1")).to_have_text("at-home")
    client = shared.client()
    session = page.url.rpartition("/")[2]
    read = {name: client.read(f"{session}/{name}").decode().strip() for name in ("cwd", "role", "tasks")}
    assert read == {"cwd": f"{home}/my project", "role": "reader", "tasks": "git"}


def test_the_form_takes_what_is_typed_before_its_choices_come(watched: Watched, shared: Daemon) -> None:
    page, held = watched.page, list[Route]()
    for name in ("backends", "roles", "tasks"):
        page.route(f"**/api/{name}", lambda route: held.append(route))
    page.get_by_role("button", name="Start…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Alias").fill("typed-before")
    dialog.get_by_label("Directory").fill(str(shared.home.work))
    for one in held:
        one.continue_()
    dialog.get_by_label("Backend").select_option("shell")
    expect(dialog.get_by_label("git", exact=True)).to_be_visible()
    dialog.get_by_role("button", name="Start").click()
    expect(page.locator("#session h1")).to_have_text("typed-before")


def test_a_draft_survives_a_reload_and_goes_with_its_sending(watched: Watched, site: Site, shared: Daemon) -> None:
    page, session = watched.page, Session.new(shared)
    show(page, site, session.id)
    page.get_by_label("Prompt").fill("echo kept")
    page.reload()
    expect(page.get_by_label("Prompt")).to_have_value("echo kept")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("article.agent pre")).to_have_text("kept")
    page.reload()
    expect(page.locator("article.agent pre")).to_have_text("kept")
    expect(page.get_by_label("Prompt")).to_have_value("")
    assert watched.wrong == []


def test_a_session_that_is_not_there_takes_no_prompt_and_what_was_typed_for_one_is_kept(
    watched: Watched, site: Site, shared: Daemon
) -> None:
    page, session = watched.page, Session.new(shared, "shell", "alias=soon-gone")
    page.goto(f"{site.link}#session/nope")
    expect(page.locator("#session").get_by_role("alert")).to_have_text("There is no session nope (any more).")
    expect(page.get_by_label("Prompt")).to_be_hidden()
    page.goto(f"{site.link}#session/soon-gone")
    expect(page.locator("#session h1")).to_have_text("soon-gone")
    page.get_by_label("Prompt").fill("half a thought")
    session.write("ctl", "kill\n")
    expect(page.locator("#session").get_by_role("alert")).to_contain_text("was not sent; it is kept below")
    expect(page.get_by_label("Prompt")).to_have_value("half a thought")
    expect(page.get_by_role("button", name="Send")).to_be_disabled()
    page.reload()
    expect(page.get_by_label("Prompt")).to_have_value("half a thought")


def test_a_button_keeps_its_focus_and_its_place_on_a_narrow_page(watched: Watched, site: Site, shared: Daemon) -> None:
    page, session = watched.page, Session.new(shared)
    page.set_viewport_size({"width": 400, "height": 800})
    show(page, site, session.id)
    changes = page.get_by_role("button", name="Changes", exact=True)
    changes.click()
    expect(changes).to_be_focused()
    expect(changes).to_be_in_viewport()
    session.write("alias", "named\n")
    expect(page.locator("#session h1")).to_have_text("named")
    expect(changes).to_be_focused()
    expect(changes).to_be_in_viewport()


@pytest.mark.parametrize("hash_", ["#%", "#session/%E0%A4%A", "#session/", "#nothing/of/this"])
def test_a_malformed_hash_shows_the_list(watched: Watched, site: Site, hash_: str) -> None:
    watched.page.goto(f"{site.link}{hash_}")
    expect(watched.page.locator("#link")).to_have_text("live")
    expect(watched.page.locator("#sessions h1")).to_be_visible()
    assert watched.wrong == []


def test_a_browser_that_keeps_nothing_shows_the_page_and_says_what_a_reload_needs(
    context: BrowserContext, site: Site, shared: Daemon
) -> None:
    context.add_init_script(
        "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('denied', 'SecurityError') }})"
    )
    page, session = context.new_page(), Session.new(shared)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    show(page, site, session.id)
    page.get_by_label("Prompt").fill("echo here")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("article.agent pre")).to_have_text("here")
    page.reload()
    expect(page.locator("#trouble")).to_contain_text("every reload needs the link")
    assert wrong == []


def test_no_heading_skips_a_level(watched: Watched, site: Site, shared: Daemon) -> None:
    page, session = watched.page, Session.new(shared)
    session.ask("echo one")
    session.write("ctl", "hold\n")
    show(page, site, session.id)
    expect(page.locator("article.agent pre")).to_have_text("one")
    page.locator("#session").get_by_role("button", name="Mail").click()
    expect(page.locator(".panel h2")).to_be_visible()
    levels = page.evaluate("""[...document.querySelectorAll('h1, h2, h3, h4')].filter(one => one.checkVisibility())
        .map(one => Number(one.tagName[1]))""")
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels)), levels
    assert levels.count(2) >= 4


LATE = """const given = fetch, late = () => new Promise((done) => setTimeout(done, 3500));
fetch = async (path, ...more) => {
  if (!String(path).startsWith("/api/stream")) return given(path, ...more);
  WHOLE await late();
  const {body, status, headers} = await given(path, ...more);
  return new Response(body.pipeThrough(new TransformStream({async transform(piece, out) {
    if (!new TextDecoder().decode(piece).startsWith("event: sessions")) await late();
    out.enqueue(piece);
  }})), {status, headers});
};"""


@pytest.mark.slow(20)
@pytest.mark.parametrize("whole", ["", "//"], ids=["the whole", "the conversation"])
def test_a_page_that_is_told_late_is_told_all_the_same(
    browser: Browser, site: Site, shared: Daemon, whole: str
) -> None:
    session = Session.new(shared)
    session.ask("echo told")
    context = browser.new_context()
    context.set_default_timeout(PATIENCE * 1000)
    context.add_init_script(LATE.replace("WHOLE", whole))
    try:
        pages = [context.new_page() for _ in range(5)]
        for page in pages:
            page.goto(f"{site.link}#session/{session.id}")
        for page in pages:
            expect(page.locator("#link")).to_have_text("live")
            expect(page.locator("article.agent pre")).to_have_text("told")
    finally:
        context.close()


GIVEN_LATE = """const locks = navigator.locks, request = locks.request.bind(locks);
locks.query = async () => ({held: [], pending: []});
locks.request = (name, options, hold) => request(name, options, async (lock) => {
  await new Promise((done) => setTimeout(done, 4000));
  return hold(lock);
});"""


@pytest.mark.slow(20)
def test_a_page_that_begins_to_wait_while_another_is_given_the_place_is_heard(browser: Browser, site: Site) -> None:
    context = browser.new_context()
    context.set_default_timeout(PATIENCE * 1000)
    context.add_init_script(GIVEN_LATE)
    try:
        pages = [context.new_page() for _ in range(2)]
        for page in pages:
            page.goto(site.link)
        for page in pages:
            expect(page.locator("#link")).to_have_text("live")
    finally:
        context.close()


@pytest.mark.slow(15)
def test_many_pages_of_one_browser_all_get_what_happens(browser: Browser, site: Site, shared: Daemon) -> None:
    context = browser.new_context()
    context.set_default_timeout(PATIENCE * 1000)
    sessions = [Session.new(shared) for _ in range(2)]
    try:
        pages = [context.new_page() for _ in range(8)]
        for n, page in enumerate(pages):
            show(page, site, sessions[n % 2].id)
        pages[7].get_by_label("Prompt").fill("echo from the last")
        pages[7].get_by_role("button", name="Send").click()
        for page in pages[1::2]:
            expect(page.locator("article.agent pre")).to_have_text("from the last")
            expect(page.locator("#trouble")).to_be_hidden()
        sessions[0].ask("echo to the first")
        for page in pages[::2]:
            expect(page.locator("article.agent pre")).to_have_text("to the first")
    finally:
        context.close()
