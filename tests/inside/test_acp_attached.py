"""What an agent gets of the files that a prompt names."""

import base64
import os
from pathlib import Path
from typing import Any

import pytest

from anvilsrv.inside import acp_attached
from anvilsrv.inside.acp_attached import TEXT, blocks

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
ALL = {"promptCapabilities": {"image": True, "embeddedContext": True}}


def kinds(made: list[dict[str, Any]]) -> list[str]:
    return [one["type"] for one in made]


def test_images_and_texts_go_as_such_and_all_else_as_links(tmp_path: Path) -> None:
    (tmp_path / "shot.png").write_bytes(PNG)
    (tmp_path / "log.txt").write_text("one\n\u00fc")
    (tmp_path / "a.tar").write_bytes(b"\xff\xfe")
    (tmp_path / "long").write_text("x" * (TEXT + 1))
    names = ["shot.png", "log.txt", "a.tar", "long", "none", "shot.png"]
    image, text, other, long = blocks(" ".join(f"@{tmp_path}/{name}." for name in names), str(tmp_path), ALL)
    assert (image["mimeType"], base64.b64decode(image["data"])) == ("image/png", PNG)
    assert text["resource"] == {"uri": f"file://{tmp_path}/log.txt", "mimeType": "text/plain", "text": "one\n\u00fc"}
    assert other == {"type": "resource_link", "uri": f"file://{tmp_path}/a.tar", "name": "a.tar"}
    assert long["type"] == "resource_link"


@pytest.mark.parametrize("capabilities", [{}, {"promptCapabilities": None}, {"promptCapabilities": {"image": "yes"}}])
def test_an_agent_that_takes_neither_gets_links(tmp_path: Path, capabilities: dict[str, Any]) -> None:
    (tmp_path / "shot.png").write_bytes(PNG)
    (tmp_path / "log.txt").write_text("one")
    assert (
        kinds(blocks(f"{tmp_path}/shot.png {tmp_path}/log.txt", str(tmp_path), capabilities)) == ["resource_link"] * 2
    )


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF1234WEBPVP8 ", "image/webp"),
        (b"RIFF1234WAVE", ""),
    ],
)
def test_an_image_is_known_by_its_beginning(tmp_path: Path, data: bytes, kind: str) -> None:
    (tmp_path / "a").write_bytes(data)
    (one,) = blocks(f"{tmp_path}/a", str(tmp_path), {"promptCapabilities": {"image": True}})
    assert one.get("mimeType", "") == kind


def test_of_many_files_only_some_are_sent_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acp_attached, "TOGETHER", 2 * len(PNG))
    for number in range(30):
        (tmp_path / f"{number}.png").write_bytes(PNG)
    made = blocks("\n".join(f"{tmp_path}/{number}.png" for number in range(30)), str(tmp_path), ALL)
    assert kinds(made) == ["image"] * 2 + ["resource_link"] * 18


def test_what_is_no_file_in_that_directory_is_no_block(tmp_path: Path) -> None:
    place = tmp_path / "attach"
    place.mkdir()
    (tmp_path / "secret").write_text("x")
    os.symlink(tmp_path / "secret", place / "link")
    os.mkfifo(place / "pipe")
    (place / "directory").mkdir()
    text = f"{place}/link {place}/pipe {place}/directory {place}/../secret {place} {place}/"
    assert blocks(text, str(place), ALL) == [] == blocks(text, "", ALL)


def test_for_an_agent_that_drops_images_beside_other_files_they_go_alone(tmp_path: Path) -> None:
    (tmp_path / "shot.png").write_bytes(PNG)
    (tmp_path / "log.txt").write_text("one")
    both, text = f"{tmp_path}/shot.png {tmp_path}/log.txt", f"{tmp_path}/log.txt"
    assert kinds(blocks(both, str(tmp_path), ALL, alone=True)) == ["image"]
    assert kinds(blocks(text, str(tmp_path), ALL, alone=True)) == ["resource"]
