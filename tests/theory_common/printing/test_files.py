"""Files are whole or absent, and nothing is replaced without permission."""

import os

import pytest

from theory_common.printing import files


def test_the_content_arrives_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "a.json"
    files.write_whole(path, "é\n")
    assert path.read_bytes() == "é\n".encode()
    assert path.stat().st_mode & 0o077 == 0o066 & ~_umask()
    files.write_whole(str(path), b"\x00\xff", force=True)
    assert path.read_bytes() == b"\x00\xff"
    assert os.listdir(tmp_path) == ["a.json"]


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_what_is_in_the_way_stays(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(FileExistsError, match=r"a exists already; --force"):
        files.write_whole(path, "new")
    with pytest.raises(FileExistsError, match="it is a folder"):
        files.write_whole(tmp_path, "new", force=True)
    with pytest.raises(FileExistsError, match="not a plain file"):
        files.write_whole(os.devnull, "new", force=True)
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere"):
        files.write_whole(tmp_path / "nowhere" / "b", "new")
    with pytest.raises(NotADirectoryError, match="a is not a folder"):
        files.write_whole(path / "b", "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("failing", ["fsync", "link", "chmod"])
def test_an_interruption_leaves_the_old_file(tmp_path, monkeypatch, failing):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, failing, interrupted)
    with pytest.raises(KeyboardInterrupt):
        files.write_whole(tmp_path / "a", "new")
    assert os.listdir(tmp_path) == []


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path, monkeypatch):
    path = tmp_path / "a"
    monkeypatch.setattr(os, "fsync", lambda _: path.write_text("theirs"))
    with pytest.raises(FileExistsError, match="exists already"):
        files.write_whole(path, "ours")
    assert path.read_text() == "theirs"


def test_a_link_stays_a_link_and_permissions_stay(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    path.chmod(0o640)
    (tmp_path / "link").symlink_to(path)
    files.write_whole(tmp_path / "link", "new", force=True)
    assert (tmp_path / "link").is_symlink()
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o640
