"""Things get into the cache folder whole or not at all."""

from pathlib import Path

import pytest

from tools.dev.caches import find_or_make, locked, replace_folder, scratch_folder


def make_half_of_it() -> None:
    with scratch_folder("thing") as folder:
        (folder / "half").touch()
        raise KeyboardInterrupt


def test_a_scratch_folder_is_gone_after_an_interruption(cache: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        make_half_of_it()
    assert list((cache / "scratch").iterdir()) == []


def test_what_a_killed_run_left_is_swept_away(cache: Path) -> None:
    leftover = cache / "scratch" / "thing.killed"
    leftover.mkdir(parents=True)
    with scratch_folder("thing"):
        assert not leftover.exists()


def test_a_finished_folder_takes_the_place_of_an_older_one(cache: Path) -> None:
    target = cache / "thing"
    target.mkdir(parents=True)
    (target / "old").touch()
    with scratch_folder("thing") as scratch:
        (scratch / "root").mkdir()
        (scratch / "root" / "new").touch()
        replace_folder(scratch / "root", target)
    assert [path.name for path in target.iterdir()] == ["new"]


def test_a_lock_can_be_taken_again_once_it_is_free(cache: Path) -> None:
    for _ in range(2):
        with locked("thing"):
            assert (cache / "locks" / "thing.lock").exists()


def test_what_is_made_is_found_and_not_made_again(cache: Path) -> None:
    made: list[Path] = []

    def find() -> Path | None:
        return cache if made else None

    assert [find_or_make("thing", find, made.append) for _ in range(2)] == [cache, cache]
    assert len(made) == 1


@pytest.mark.usefixtures("cache")
def test_what_another_made_while_this_one_waited_is_not_made_again() -> None:
    answers = iter([None, "made by another"])

    assert find_or_make("thing", lambda: next(answers), lambda _: pytest.fail("made")) == (
        "made by another"
    )
