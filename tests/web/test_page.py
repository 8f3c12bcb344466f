"""The page in Chromium: what a person does on it, on a desk and on a phone."""

import json
import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.conftest import PATIENCE, Daemon, wait_until
from tests.daemon.test_git import made_repository
from tests.scripted import install, script
from tests.session import Session
from tests.web.conftest import Site, Watched

expect.set_options(timeout=PATIENCE * 1000)


def start(page: Page, directory: Path, backend: str = "shell", alias: str = "") -> str:
    """Start a session by the form; its id."""
    before = page.url
    page.get_by_role("button", name="Start…").click()
    page.get_by_label("Backend").select_option(backend)
    page.get_by_label("Directory").fill(str(directory))
    page.get_by_label("Alias").fill(alias)
    page.get_by_role("dialog").get_by_role("button", name="Start").click()
    page.wait_for_function("before => location.href !== before", arg=before)
    expect(page.locator("#session .state")).to_have_text("idle")
    return page.url.rpartition("/")[2]


def prompt(page: Page, text: str) -> None:
    page.get_by_label("Prompt").fill(text)
    page.get_by_role("button", name="Send").click()


def test_a_session_is_started_prompted_and_stopped_without_a_reload(watched: Watched, shared: Daemon) -> None:
    page = watched.page
    assert "token" not in page.url
    loads: list[str] = []
    page.on("framenavigated", lambda frame: loads.append(frame.url))
    page.evaluate("window.kept = true")
    session = start(page, shared.home.work, alias="first")
    prompt(page, "echo hello; seq 3")
    expect(page.locator("article.user pre")).to_have_text("echo hello; seq 3")
    expect(page.locator("article.agent pre")).to_have_text("hello\n1\n2\n3")
    expect(page.get_by_label("Prompt")).to_have_value("")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#session .state")).to_have_text("stopped")
    assert shared.client().read(f"{session}/state") == b"stopped\n"
    page.get_by_role("button", name="Restart").click()
    expect(page.locator("#session .state")).to_have_text("idle")
    page.get_by_role("button", name="Alias…").click()
    page.get_by_role("dialog").get_by_role("textbox").fill("renamed")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#session h1")).to_have_text("renamed")
    page.get_by_role("button", name="Context…").click()
    page.get_by_role("dialog").get_by_role("textbox").fill("# keep it short\n")
    page.get_by_role("button", name="Save").click()
    wait_until(lambda: shared.client().read(f"{session}/context") == b"# keep it short\n", "no context")
    page.get_by_role("button", name="Sandbox").click()
    expect(page.locator("dialog pre")).to_contain_text("tier")
    page.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Kill…").click()
    page.get_by_role("dialog").get_by_role("button", name="Kill").click()
    expect(page.locator(f'tr[data-id="{session}"]')).to_have_count(0)
    assert page.evaluate("window.kept") is True
    assert watched.wrong == []


def test_a_question_is_answered(watched: Watched, shared: Daemon) -> None:
    page, work = watched.page, shared.home.top / "asking"
    work.mkdir()
    install(shared.home.config)
    script(work, turns=[{"ask": "really <b>delete</b> it?", "diff": "@@ -1,1 +1,1 @@\n-a\n+b \u202ec\n", "say": ""}])
    asker = Session(shared, start(page, work, "scripted", "asker"))
    for choice in ("yes", "my own words"):
        prompt(page, "do it")
        box = page.locator("#session .ask")
        expect(box.locator("pre").first).to_have_text("really <b>delete</b> it?")
        assert "null" not in box.inner_text()
        expect(box.locator("pre.diff .add")).to_have_text("+b \ufffdc")
        expect(page.locator("#asking")).to_have_text("1 ask")
        expect(page).to_have_title("(1) AnviLLM")
        if choice == "yes":
            box.get_by_role("button", name="yes").click()
        else:
            box.get_by_label("Your own words").fill(choice)
            box.get_by_role("button", name="Answer").click()
        expect(page.locator("article.agent pre").last).to_have_text(f"answer: {choice}")
        expect(box).to_be_hidden()
        expect(page).to_have_title("AnviLLM")
        wait_until(lambda: asker.row["needs"] == "", "the answer is on the page, and counts as not seen")
    prompt(page, "do it")
    first = asker.question()["id"]
    asker.asks_too("make it?")
    boxes = page.locator("#session .ask > *")
    expect(boxes).to_have_count(2)
    expect(boxes.first).to_contain_text(f"question {first}")
    boxes.nth(1).get_by_role("button", name="no").click()
    expect(boxes).to_have_count(1)
    assert [json.loads(line)["id"] for line in asker.read("ask").splitlines()] == [first]
    boxes.get_by_role("button", name="yes").click()
    expect(page.locator("article.agent pre").last).to_have_text("answer: yes")
    assert watched.wrong == []


def test_a_session_tells_its_model_and_what_is_left_of_its_context(watched: Watched, shared: Daemon) -> None:
    page, work = watched.page, shared.home.top / "telling"
    work.mkdir()
    install(shared.home.config)
    used = {"type": "usage", "input": 1, "output": 2, "context": 50, "window": 200, "model": "large <b>"}
    script(work, turns=[{"tell": [[0, used]], "say": "done"}])
    start(page, work, "scripted", "teller")
    about = page.locator("#session .head p.quiet")
    expect(about).to_contain_text("scripted")
    assert "context left" not in about.inner_text()
    prompt(page, "do it")
    expect(about).to_have_text(re.compile(r"telling · large <b> · 75% context left$"))
    assert watched.wrong == []


HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


def test_what_an_agent_says_is_text_wherever_it_is_shown(watched: Watched, shared: Daemon) -> None:
    page = watched.page
    work = shared.home.top / "<img src=x onerror=alert(1)>"
    work.mkdir()
    session = start(page, work)
    prompt(page, "printf '%s\\033[31m\\033\\342\\200\\256\\n' \"" + HOSTILE.replace('"', '\\"') + '"')
    expect(page.locator("article.agent pre")).to_have_text(HOSTILE + "␛�")
    expect(page.locator(f'tr[data-id="{session}"]')).to_contain_text(session)
    message = {"to": "user", "type": "QUERY_REQUEST", "subject": HOSTILE, "body": HOSTILE}
    shared.client(session).write(f"{session}/mail", json.dumps(message).encode())
    expect(page.locator(".toast").first).to_contain_text("<img src=x")
    page.get_by_role("link", name="Mail").click()
    expect(page.locator("#mail summary").first).to_contain_text(HOSTILE)
    page.locator("#mail summary").first.click()
    expect(page.locator("#mail pre").first).to_have_text(HOSTILE)
    shared.client(session).write_read(
        "beads/ctl", f"new '{HOSTILE.replace(chr(39), chr(39) * 2)}' '<script>x</script>'\n".encode()
    )
    page.get_by_role("link", name="Beads").click()
    expect(page.locator("#beads b").first).to_have_text(HOSTILE)
    assert page.locator("main img, main script, #toasts img").count() == 0
    assert "owned" not in page.title()
    assert watched.wrong == []


@pytest.mark.parametrize("alias", ["<script>alert(1)</script>", "a b", "a/../b", "sessions"])
def test_an_alias_cannot_be_a_script(watched: Watched, shared: Daemon, alias: str) -> None:
    session = shared.client().write_read("ctl", f"new shell {shared.home.work}\n".encode()).decode().strip()
    with pytest.raises(Exception, match="invalid alias"):
        shared.client(session).write(f"{session}/alias", alias.encode())
    page = watched.page
    page.locator(f'tr[data-id="{session}"]').click()
    page.get_by_role("button", name="Alias…").click()
    page.get_by_role("dialog").get_by_role("textbox").fill(alias)
    page.get_by_role("button", name="Save").click()
    expect(page.locator("dialog .wrong")).to_contain_text("invalid alias")
    shared.client().write(f"{session}/ctl", b"kill\n")


@pytest.mark.slow(6)
def test_a_turn_is_seen_while_it_happens(watched: Watched, shared: Daemon) -> None:
    page, work = watched.page, shared.home.top / "seen"
    work.mkdir()
    install(shared.home.config)
    diff = "@@ -3,2 +3,3 @@\n def f():\n-    b = 1\n+    c = 2\n+    d = '<b>'\n"
    lines = [
        {"type": "text", "id": "m1", "part": "I shall look at ", "index": 0},
        {"type": "text", "id": "m1", "part": "the lexer.\n", "index": 1},
        {"type": "tool", "id": "t1", "name": "Bash", "input": {"command": "make check"}},
        {"type": "output", "id": "t1", "part": "one\n"},
        {"type": "output", "id": "t1", "part": "two \u202e2\n"},
        {"type": "output", "id": "t1", "status": "1", "exit": 2},
        {"type": "tool", "id": "t2", "name": "Edit", "input": {"file": "src/lex.py"}},
        {"type": "edit", "id": "t2", "file": "src/lex.py", "diff": diff},
        {"type": "retry", "attempt": 3, "of": 10, "reason": "overloaded"},
        {"type": "text", "id": "m2", "part": "It is nearly", "index": 0},
    ]
    script(
        work,
        turns=[
            {"tell": [*([0.1, one] for one in lines), ["looked at", ""]], "say": "It is nearly done.", "times": 1},
            {"say": "x"},
        ],
    )
    session = start(page, work, "scripted", "seen")
    listed = page.locator(f'tr[data-id="{session}"] .doing')
    expect(listed).to_have_count(0)
    prompt(page, "mend the lexer")
    expect(page.locator("article.agent pre").last).to_have_text("It is nearly")
    assert shared.client().read(f"{session}/state") == b"running\n"
    expect(listed).to_have_text(re.compile(r"^since \d\d:\d\d( [AP]M)? · answering$"))
    expect(page.locator(".step summary")).to_have_text(["✗Bash make check exit 2", "✓Edit src/lex.py:4 +2 −1"])
    expect(page.locator(".step pre.diff")).to_be_hidden()
    for step in page.locator(".step summary").all():
        step.click()
    expect(page.locator(".step pre.diff .add")).to_have_text(["+    c = 2", "+    d = '<b>'"])
    expect(page.locator(".step pre.diff .del")).to_have_text(["-    b = 1"])
    expect(page.locator(".step pre").nth(1)).to_have_text("one\ntwo \ufffd2")
    if where := os.environ.get("ANVILLM_SCREENSHOTS"):
        page.screenshot(path=f"{where}/web.png")
    (work / "looked at").touch()
    expect(page.locator("article.agent pre").last).to_have_text("It is nearly done.")
    expect(page.locator("article.agent pre")).to_have_count(2)
    for number in range(5):
        Session(shared, session).ask(f"again {number}")
    page.reload()
    expect(page.locator("article.user pre").first).to_have_text("again 0")
    page.get_by_role("button", name="Earlier turns").click()
    expect(page.locator("article.user pre").first).to_have_text("mend the lexer")
    expect(page.get_by_role("button", name="Earlier turns")).to_have_count(0)
    assert watched.wrong == []


def test_what_was_changed_is_read_as_a_whole_and_turn_by_turn(watched: Watched, shared: Daemon) -> None:
    page, at = watched.page, made_repository(shared.home.top / "changed")
    (at / "lex.py").write_text("def f():\n    b = 1\n    return b\n")
    session = Session(shared, start(page, at))
    session.ask(
        "sed -i 's/b = 1/c = <b>2<\\/b>/' lex.py; printf 'one\\033\\ntwo\\n' > \"$(printf 'new \\342\\200\\256')\""
    )
    panel, client = page.locator("#session .panel"), shared.client()
    client.read(f"{session.id}/turns/1/diff")
    page.get_by_role("button", name="Changes").click()
    names = panel.locator("summary b:first-child")
    expect(names).to_have_text(["lex.py", "new \ufffd"])
    expect(panel).to_contain_text("2 files +3 −1")
    expect(panel.locator(".add code, .add img, b b")).to_have_count(0)
    expect(panel.locator("pre .add")).to_have_text(["+    c = <b>2</b>", "+one␛", "+two"])
    expect(panel.locator("pre .del")).to_have_text(["-    b = 1"])
    green = "getComputedStyle(document.querySelector('.panel pre .add')).color"
    assert page.evaluate(green) != page.evaluate(green.replace(".add", ".del"))
    session.ask("rm lex.py")
    expect(names).to_have_text(["lex.py", "new \ufffd"])
    expect(panel.locator("summary").first).to_contain_text("deleted")
    choice = panel.get_by_label("Whose changes")
    expect(choice.locator("option")).to_have_text(["All", "Turn 2: +0 −3", "Turn 1: +3 −1"])
    choice.select_option("2")
    expect(names).to_have_text(["lex.py"])
    expect(panel.locator("pre .del")).to_have_count(3)
    panel.locator("summary").click()
    expect(panel.locator("pre")).to_be_hidden()
    panel.get_by_role("button", name="Read again").click()
    expect(panel.locator("pre")).to_be_hidden()
    choice.select_option("1")
    expect(panel.locator("pre .add")).to_have_count(3)
    if where := os.environ.get("ANVILLM_SCREENSHOTS"):
        page.screenshot(path=f"{where}/web-changes.png")
    page.get_by_role("button", name="Changes").click()
    expect(panel).to_be_hidden()
    assert watched.wrong == []


def test_where_there_is_no_diff_the_page_says_why(watched: Watched, shared: Daemon) -> None:
    page = watched.page
    start(page, shared.home.work)
    page.get_by_role("button", name="Changes").click()
    expect(page.locator("#session .panel")).to_contain_text("There is no diff to show: ")
    expect(page.locator("#session .panel")).to_contain_text("works in no git repository of yours")
    page.locator("#session").get_by_role("button", name="Mail").click()
    expect(page.locator("#session .panel h2")).to_have_count(1)


def test_mail_is_read_answered_and_filed(watched: Watched, shared: Daemon) -> None:
    page, client = watched.page, shared.client()
    session = client.write_read("ctl", f"new shell {shared.home.work} alias=writer\n".encode()).decode().strip()
    client.write(f"{session}/mail", b'{"to":"user","type":"REVIEW_REQUEST","subject":"look","body":"at this"}')
    expect(page.locator("#unread")).not_to_have_text("")
    page.get_by_role("link", name="Mail").click()
    item = page.locator("#mail li").filter(has_text="look")
    item.locator("summary").click()
    expect(item.locator("pre")).to_have_text("at this")
    item.get_by_role("button", name="Reply…").click()
    page.get_by_role("dialog").get_by_role("textbox").fill("looks good")
    page.get_by_role("button", name="Send").click()
    expect(item).to_have_count(0)
    page.get_by_role("button", name="Archive", exact=True).first.click()
    expect(page.locator("#mail li").filter(has_text="look")).to_be_visible()
    log = client.open("log")
    seen = b""
    while b"REVIEW_RESPONSE Re: look" not in seen:
        seen += log.read(timeout=PATIENCE)
    log.cancel()
    page.goto(f"{page.url.partition('#')[0]}#session/{session}")
    page.locator("#session").get_by_role("button", name="Mail").click()
    expect(page.locator(".panel h2")).to_have_text("Mail of writer")
    assert watched.wrong == []


def test_beads_are_made_claimed_and_completed(watched: Watched) -> None:
    page = watched.page
    page.get_by_role("link", name="Beads").click()
    page.get_by_role("button", name="New…").click()
    page.get_by_label("Title").fill("Fix the login")
    page.get_by_role("button", name="Make").click()
    item = page.locator("#beads li").filter(has_text="Fix the login")
    expect(item.locator(".state")).to_have_text("ready")
    item.get_by_role("button", name="Claim").click()
    expect(item.locator(".state")).to_have_text("in_progress")
    item.get_by_role("button", name="Complete").click()
    expect(item).to_have_count(0)
    page.get_by_role("button", name="Closed too").click()
    expect(item.locator(".state")).to_have_text("closed")
    assert watched.wrong == []


def test_the_page_goes_on_over_a_daemon_that_is_killed(browser: Browser, daemon: Daemon) -> None:
    site = Site(daemon.home)
    page = browser.new_page()
    try:
        page.goto(site.link)
        session = start(page, daemon.home.work)
        prompt(page, "echo before")
        expect(page.locator("article.agent pre")).to_have_text("before")
        page.get_by_label("Prompt").fill("half a thought")
        daemon.kill()
        expect(page.locator("#link")).to_have_text("away")
        expect(page.locator("#trouble")).to_contain_text("daemon is away")
        page.get_by_role("button", name="Send").click()
        expect(page.locator(".toast.wrong").first).to_be_visible()  # a second one may tell that it cannot connect
        expect(page.get_by_label("Prompt")).to_have_value("half a thought")
        daemon.start()
        expect(page.locator("#link")).to_have_text("live")
        expect(page.locator("#trouble")).to_be_hidden()
        wait_until(lambda: daemon.client().read(f"{session}/state") == b"idle\n", "it is not adopted")
        prompt(page, "echo after")
        expect(page.locator("article.agent pre")).to_have_text(["before", "after"])
    finally:
        page.close()
        site.close()


def test_the_page_says_when_its_server_is_gone_and_when_its_link_is_old(browser: Browser, shared: Daemon) -> None:
    site = Site(shared.home)
    page = browser.new_page()
    try:
        page.goto(site.link)
        expect(page.locator("#link")).to_have_text("live")
        page.reload()
        expect(page.locator("#link")).to_have_text("live")
        site.close()
        expect(page.locator("#trouble")).to_contain_text("does not answer")
        page.evaluate("localStorage.clear()")
    finally:
        page.close()


def test_without_its_key_the_page_says_what_to_do(watched: Watched) -> None:
    watched.page.evaluate("localStorage.clear()")
    watched.page.reload()
    expect(watched.page.locator("#trouble")).to_contain_text("Open the link")


def test_a_list_that_changes_keeps_focus_and_place(watched: Watched, shared: Daemon) -> None:
    page, client = watched.page, shared.client()
    session = client.write_read("ctl", f"new shell {shared.home.work}\n".encode()).decode().strip()
    link = page.locator(f'tr[data-id="{session}"] a')
    expect(page.locator(f'tr[data-id="{session}"] .state')).to_have_text("idle")
    link.focus()
    more = client.write_read("ctl", f"new shell {shared.home.work}\n".encode()).decode().strip()
    expect(page.locator(f'tr[data-id="{more}"] .state')).to_have_text("idle")
    assert page.evaluate("document.activeElement.getAttribute('href')") == f"#session/{session}"
    for one in (session, more):
        client.write(f"{one}/ctl", b"kill\n")


def test_a_long_conversation_follows_its_end_unless_somebody_reads_above(watched: Watched, shared: Daemon) -> None:
    page = watched.page
    start(page, shared.home.work)
    rest = "(t => t.scrollHeight - t.scrollTop - t.clientHeight)(document.querySelector('.talk'))"
    prompt(page, "seq 500")
    expect(page.locator("article.agent pre")).to_contain_text("500")
    assert page.evaluate(rest) < 5
    assert page.evaluate("document.querySelector('.talk').scrollTop") > 0
    page.evaluate("document.querySelector('.talk').scrollTop = 10")
    client = shared.client()
    client.write(f"{page.url.rpartition('/')[2]}/in", b"echo more")
    expect(page.locator("article.agent pre").nth(1)).to_have_text("more")
    assert page.evaluate("document.querySelector('.talk').scrollTop") == 10


def test_on_a_phone_everything_fits_and_is_large_enough_to_touch(
    browser: Browser, site: Site, shared: Daemon, tmp_path: Path
) -> None:
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, device_scale_factor=2, is_mobile=True, has_touch=True
    )
    context.set_default_timeout(PATIENCE * 1000)
    page = context.new_page()
    try:
        page.goto(site.link)
        start(page, shared.home.work, alias="a-very-long-alias-that-goes-on-and-on-and-on-to-the-end-of-it")
        prompt(page, "echo " + "x" * 500)
        expect(page.locator("article.agent pre")).to_contain_text("xxx")
        fits = "document.documentElement.scrollWidth <= innerWidth"
        assert page.evaluate(fits)
        small = "[...document.querySelectorAll('#session button')].filter(b => b.getBoundingClientRect().height < 36).length"
        assert page.evaluate(small) == 0
        page.screenshot(path=tmp_path / "phone.png")
        page.get_by_role("link", name="Back to the list").tap()
        expect(page.locator("#rows tr").first).to_be_visible()
        for view in ("Mail", "Beads"):
            page.get_by_role("link", name=view).tap()
            expect(page.locator(f"#{view.lower()} h1")).to_be_visible()
            assert page.evaluate(fits)
    finally:
        context.close()


def test_a_hidden_page_holds_no_connection(watched: Watched) -> None:
    page = watched.page
    hide = """hidden => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});
        document.dispatchEvent(new Event('visibilitychange')) }"""
    with page.expect_event("requestfailed", lambda request: "stream" in request.url):
        page.evaluate(hide, True)
    with page.expect_request("**/api/stream"):
        page.evaluate(hide, False)
    expect(page.locator("#link")).to_have_text("live")


def test_a_prompt_is_seen_while_the_agent_is_being_given_it(watched: Watched, shared: Daemon) -> None:
    page, directory = watched.page, shared.home.work / "slow"
    directory.mkdir()
    install(shared.home.config)
    script(directory, late=3, turns=[{"match": "", "submit": "late", "say": "taken"}])
    start(page, directory, "scripted")
    prompt(page, "take it")
    queue = page.locator("#session .queue")
    expect(queue.locator("li")).to_contain_text("take itsending")
    expect(queue.get_by_role("button")).to_have_count(0)
    expect(page.locator("article.user pre")).to_have_text("take it")
    expect(queue).to_be_hidden()
    assert watched.wrong == []


def test_what_waits_stands_under_the_conversation_and_is_edited_put_first_and_dropped(
    watched: Watched, shared: Daemon
) -> None:
    page = watched.page
    session, client = start(page, shared.home.work, alias="queued"), shared.client()
    queue = page.locator("#session .queue")
    expect(queue).to_be_hidden()
    page.get_by_role("button", name="Hold").click()
    expect(queue).to_contain_text("0 waiting · held: by the user")
    for text in ("echo one", f"echo two\n# {HOSTILE}", "echo three"):
        prompt(page, text)
        expect(page.get_by_label("Prompt")).to_have_value("")
    words = queue.locator(".words")
    expect(words).to_have_text(["echo one", f"echo two # {HOSTILE}"[:60], "echo three"])
    queue.get_by_role("button", name="Drop").first.click()
    expect(queue.locator("h2")).to_contain_text("2 waiting")
    queue.get_by_role("button", name="First").click()
    expect(words).to_have_text(["echo three", f"echo two # {HOSTILE}"[:60]])
    queue.get_by_role("button", name="Edit…").last.click()
    box = page.get_by_role("dialog").get_by_role("textbox")
    expect(box).to_have_value(f"echo two\n# {HOSTILE}")
    box.fill("echo second")
    page.get_by_role("button", name="Save").click()
    expect(words).to_have_text(["echo three", "echo second"])
    client.write(f"{session}/in", b"echo from elsewhere")
    expect(words).to_have_text(["echo three", "echo second", "echo from elsewhere"])
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("article.agent pre")).to_have_text(["three", "second", "from elsewhere"])
    expect(queue).to_be_hidden()
    assert client.read(f"{session}/turns/1/prompt") == b"echo one"
    assert watched.wrong == []
