"""The form of the Emacs package, as its files show it: names, autoloads, lines."""

import re
from collections.abc import Iterator

from tests.conftest import Home
from tests.emacs.test_emacs import PACKAGE, emacs

DEFINED = re.compile(
    r"^\((?:cl-)?(?:def(?:un|var|var-local|const|macro|custom|subst|alias|face|ine-minor-mode|ine-derived-mode|generic|struct))"
    r"\s+\(?'?([a-z0-9-]+)",
    re.MULTILINE,
)
ACCESSORS = re.compile(r"^\(cl-defstruct \(?([a-z0-9-]+)(?:.*\(:conc-name ([a-z0-9-]+)\))?", re.MULTILINE)
PRIVATE = re.compile(r"\banvillm[a-z0-9-]*--[a-z0-9-]+")
MOST = 100  # characters of a line


def code(text: str) -> str:
    """Return a file without its comments, so far as they begin a line or follow a blank."""
    return re.sub(r"(?m)(?:^|\s);.*$", "", text)


def strangers(texts: dict[str, str]) -> Iterator[str]:
    """Yield names with two hyphens that are used in another file than the one that defines them."""
    owner = {name: file for file, text in texts.items() for name in DEFINED.findall(text)}
    prefixes = {
        (dotted or f"{name}-"): file for file, text in texts.items() for name, dotted in ACCESSORS.findall(text)
    }
    for file, text in texts.items():
        for name in sorted(set(PRIVATE.findall(code(text)))):
            top = next((of for prefix, of in prefixes.items() if "--" in prefix and name.startswith(prefix)), file)
            if owner.get(name, top) != file:
                yield f"{file}: {name} is of {owner.get(name, top)}"


def test_a_private_name_is_used_in_its_own_file_alone() -> None:
    texts = {path.name: path.read_text() for path in PACKAGE}
    assert list(strangers(texts)) == []
    one = "(defvar anvillm-a--b nil)\n(cl-defstruct (anvillm-s (:conc-name anvillm-s--)) c)\n"
    other = "(setq anvillm-a--b 1) ; anvillm-s--c\n(anvillm-s--c x)\n"
    found = list(strangers({"one.el": one, "other.el": other}))
    assert found == ["other.el: anvillm-a--b is of one.el", "other.el: anvillm-s--c is of one.el"]


def test_no_line_is_longer_than_a_hundred_characters() -> None:
    long = [
        f"{path.name}:{number}: {len(line)}"
        for path in PACKAGE
        for number, line in enumerate(path.read_text().split("\n"), 1)
        if len(line) > MOST
    ]
    assert long == []


def test_autoloads_are_made_of_cookies_alone() -> None:
    by_hand = [
        f"{path.name}: {line}"
        for path in PACKAGE
        if path.name != "anvillm-cookies.el"
        for line in path.read_text().split("\n")
        if re.search(r"\(autoload\s", line) and not line.startswith(";;;###autoload")
    ]
    assert by_hand == []


def test_every_command_that_a_key_leads_to_is_there_in_a_checkout(home: Home) -> None:
    done = emacs(
        home, "-l", "anvillm", "--eval",
        "(dolist (place anvillm-bindings) (dolist (group (cddr place)) (dolist (row (cdr group))"
        " (let ((name (nth 1 row)) (of (car place))) (when (and name (memq of '(session anywhere list)) (not (commandp name)))"
        ' (princ (format "%s " name)))))))',
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("", 0), done.stderr
