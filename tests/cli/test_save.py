"""`download`, and `--save` of what waits: files, what is printed of them, and the exit statuses."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from aitoearn_async.emulator import Fault

from .conftest import Invoke, Service, killing


@pytest.fixture(autouse=True)
def inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator is on this machine."""
    monkeypatch.setenv("AITOEARN_PRIVATE_MEDIA", "1")


def files(service: Service) -> list[str]:
    """Requests for files so far."""
    return [request.path for request in service.emulator.requests if request.media]


def test_download(service: Service, invoke: Invoke, tmp_path: Path) -> None:
    """The paths, one a line, and nothing else."""
    picture = service.do(service.emulator.add_image, "success")
    film = service.do(service.emulator.add_video, "SUCCESS")
    for _ in range(2):
        result = invoke("download", str(picture), str(film), "--save", str(tmp_path / "new"))
        assert (result.status, result.err) == (0, "")
        assert sorted(result.lines) == [
            str(tmp_path / "new" / f"image-{picture.id}-1.png"),
            str(tmp_path / "new" / f"video-{film.id}.mp4"),
        ]
        assert all(Path(line).is_file() for line in result.lines)
    assert len(files(service)) == 2


def test_a_task_that_is_named_twice_is_saved_once(
    service: Service, invoke: Invoke, tmp_path: Path
) -> None:
    film = service.do(service.emulator.add_video, "SUCCESS")
    result = invoke("download", str(film), str(film), "--save", str(tmp_path))
    assert result.lines == [str(tmp_path / f"video-{film.id}.mp4")]
    assert len(files(service)) == 1


def test_download_here(
    service: Service, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    film = service.do(service.emulator.add_video, "SUCCESS")
    assert invoke("download", str(film)).lines == [f"video-{film.id}.mp4"]
    assert (tmp_path / f"video-{film.id}.mp4").is_file()


def test_download_as_json(service: Service, invoke: Invoke, tmp_path: Path) -> None:
    film = service.do(service.emulator.add_video, "SUCCESS")
    result = invoke("download", str(film), "--save", str(tmp_path), "--json")
    said = json.loads(result.out)
    assert said["ref"] == str(film)
    assert said["paths"] == [str(tmp_path / f"video-{film.id}.mp4")]
    assert said["error"] is None


def test_exit_statuses(virtual: Service, invoke: Invoke, tmp_path: Path) -> None:
    """Each end has its own, and the worst of several counts."""
    add = virtual.emulator.add_image
    good, failed = virtual.do(add, "success"), virtual.do(add, "failed")
    running, lying = virtual.do(add, "generating"), virtual.do(add, "success")
    virtual.do(
        lambda: virtual.emulator.fault(Fault(status=200, body="<p>"), lying, None, media=True)
    )
    unknown = "image:65ffffffffffffffffffffff"
    ends = {str(good): 0, str(failed): 1, str(running): 3, unknown: 4, str(lying): 6}
    for ref, status in ends.items():
        result = invoke("download", ref, "--save", str(tmp_path), "--timeout", "9s")
        assert result.status == status, ref
        assert bool(result.err) == bool(status)
        assert ref in result.err or not status
        assert bool(result.out) != bool(status)
    assert invoke("download", *ends, "--save", str(tmp_path), "--timeout", "9s").status == 6
    assert invoke("download", "nonsense").status == 2
    assert invoke("download", str(good), "--timeout", "soon").status == 2


def test_what_is_inside_is_allowed_by_name(
    service: Service, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AITOEARN_PRIVATE_MEDIA")
    film = str(service.do(service.emulator.add_video, "SUCCESS"))
    service.do(service.emulator.script, "video", "SUCCESS")
    commands = (("download", film), ("wait", film), MAKERS["video"])
    for command in commands:
        result = invoke(*command, "--save", str(tmp_path))
        assert (result.status, "internal network" in result.err) == (6, True)
    assert not files(service)
    for command in commands:
        assert invoke(*command, "--save", str(tmp_path), "--private-media").status == 0


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("tty", [False, True])
def test_wait_and_save(
    virtual: Service, invoke: Invoke, tmp_path: Path, many: bool, tty: bool
) -> None:
    """A few tasks or a list of them: where the files are stands where the addresses stood."""
    film = virtual.do(virtual.emulator.add_video, ("InProgress", 0.1), "SUCCESS")
    refs = tmp_path / "refs.txt"
    refs.write_text(f"{film}\n")
    named = ("--file", str(refs)) if many else (str(film),)
    result = invoke("wait", *named, "--save", str(tmp_path / "out"), tty=tty)
    path = tmp_path / "out" / f"video-{film.id}.mp4"
    assert result.status == 0
    assert path.is_file()
    assert str(path) in result.out.replace("\n", "")
    assert "http://" not in result.out


MAKERS: dict[str, tuple[str, ...]] = {
    "image": ("generate", "image", "--model", "gpt-image-2", "--n", "2", "a cat"),
    "video": ("generate", "video", "--model", "sora-2", "a cat"),
    "edit": ("edit", "image", "--model", "gpt-image-2", "--image", "https://x/y.png", "bluer"),
}


@pytest.fixture
def quick(virtual: Service) -> None:
    """What is submitted has soon ended."""
    virtual.do(virtual.emulator.script, "image", ("generating", 0.1), "success")
    virtual.do(virtual.emulator.script, "video", ("InProgress", 0.1), "SUCCESS")


def names_of(service: Service, kind: str) -> list[str]:
    (ref,) = service.emulator.created
    if kind == "video":
        return [f"video-{ref.id}.mp4"]
    return [f"image-{ref.id}-{number}.png" for number in range(1, 3 if kind == "image" else 2)]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("tty", [False, True])
@pytest.mark.parametrize("kind", MAKERS)
def test_make_and_save(
    virtual: Service, invoke: Invoke, tmp_path: Path, kind: str, tty: bool
) -> None:
    """Where the files are stands where the addresses would."""
    folder = tmp_path / "out"
    result = invoke(*MAKERS[kind], "--save", str(folder), tty=tty)
    assert result.status == 0
    names = names_of(virtual, kind)
    assert sorted(path.name for path in folder.iterdir()) == names
    assert result.lines[-1].endswith(" ".join(str(folder / name) for name in names))
    assert "http://" not in result.out


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("kind", MAKERS)
def test_make_and_save_as_json(virtual: Service, invoke: Invoke, tmp_path: Path, kind: str) -> None:
    said = json.loads(invoke(*MAKERS[kind], "--save", str(tmp_path), "--json").out)
    assert said["paths"] == [str(tmp_path / name) for name in names_of(virtual, kind)]
    assert (said["state"], said["error"]) == ("succeeded", None)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("kind", MAKERS)
def test_make_and_not_save(virtual: Service, invoke: Invoke, tmp_path: Path, kind: str) -> None:
    """The picture is there and the file is not: 6, and the name to fetch it by later."""
    virtual.do(lambda: virtual.emulator.fault(Fault(status=404), times=None, media=True))
    result = invoke(*MAKERS[kind], "--save", str(tmp_path), "--save-timeout", "9s")
    (ref,) = virtual.emulator.created
    assert result.status == 6
    assert f"{ref} could not be saved" in result.err
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".")]


@pytest.mark.parametrize("kind", MAKERS)
def test_what_cannot_be_saved_is_not_paid_for(
    service: Service, invoke: Invoke, tmp_path: Path, kind: str
) -> None:
    """No submit, where it is plain that no file would come of it."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    places = [tmp_path / name for name in ("file", "file/below", "link", "link/below", "x" * 300)]
    for options in (["--no-wait", str(tmp_path)], [""], *[[str(place)] for place in places]):
        result = invoke(*MAKERS[kind], *options[:-1], "--save", options[-1])
        assert (result.status, "--save" in result.err) == (2, True)
        assert "Traceback" not in result.err
    assert service.emulator.requests == []


@pytest.mark.parametrize("command", ["wait image:a", "download image:a", "demo"])
def test_no_directory_is_not_nowhere(service: Service, invoke: Invoke, command: str) -> None:
    """As of a variable that is not set: it is not passed over, nor taken for some other one."""
    result = invoke(*command.split(), "--save", "")
    assert (result.status, "it is empty" in result.err) == (2, True)
    assert service.emulator.requests == []


@pytest.mark.parametrize("many", [False, True])
def test_wait_and_not_save(virtual: Service, invoke: Invoke, tmp_path: Path, many: bool) -> None:
    """A task that succeeded and could not be saved makes 6."""
    film = virtual.do(virtual.emulator.add_video, "SUCCESS")
    virtual.do(lambda: virtual.emulator.fault(Fault(status=404), times=None, media=True))
    refs = tmp_path / "refs.txt"
    refs.write_text(f"{film}\n")
    named = ("--file", str(refs)) if many else (str(film),)
    saving = ("--save", str(tmp_path / "out"), "--save-timeout", "9s")
    result = invoke("wait", *named, *saving, "--json")
    assert result.status == 6
    assert f"{film} could not be saved" in result.err
    said = json.loads(result.out)
    assert (said["state"], said["error"]["type"]) == ("succeeded", "DownloadError")
    if not many:
        assert f"go on: aitoearn-async wait {film} --save" in result.err


def test_a_record_goes_by_the_files(virtual: Service, invoke: Invoke, tmp_path: Path) -> None:
    """With --save a task has ended when its files are there: then it is not asked for again."""
    add = virtual.emulator.add_image
    good, lying, bad = (virtual.do(add, life) for life in ("success", "success", "failed"))
    virtual.do(lambda: virtual.emulator.fault(Fault(status=451), lying, 1, media=True))
    out = tmp_path / "out.jsonl"
    plain = ("wait", str(good), str(lying), str(bad), "--out", str(out))
    saving = (*plain, "--save", str(tmp_path / "files"))

    def polls(*command: str) -> tuple[int, set[str]]:
        virtual.emulator.requests.clear()
        status = invoke(*command).status
        asked = {str(request.ref) for request in virtual.emulator.requests if not request.media}
        return status, asked

    assert polls(*plain) == (1, {str(good), str(lying), str(bad)})
    assert polls(*saving) == (6, {str(good), str(lying)})
    assert polls(*saving) == (1, {str(lying)})
    assert polls(*saving) == (1, set())
    (tmp_path / "files" / f"image-{good.id}-1.png").unlink()
    assert polls(*saving) == (1, {str(good)})
    assert polls(*plain) == (1, set())
    assert polls(*plain, "--save", str(tmp_path / "others")) == (1, {str(good), str(lying)})


def test_ctrl_c(service: Service, invoke: Invoke, tmp_path: Path) -> None:
    """It makes 130, says what is not saved, and leaves no file that looks whole."""
    film = service.do(service.emulator.add_video, "SUCCESS")
    service.do(lambda: service.emulator.fault(Fault(stall="body"), times=None, media=True))
    with killing(signal.SIGINT, lambda: files(service)):
        result = invoke("download", str(film), "--save", str(tmp_path))
    assert (result.status, result.out) == (130, "")
    assert result.err.splitlines() == [
        f"interrupted; not saved: {film}",
        f"go on: aitoearn-async download {film} --save {tmp_path}",
    ]
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".")]


def test_a_place_can_be_a_file(virtual: Service, invoke: Invoke, tmp_path: Path) -> None:
    """`--save cat.png` is a picture of that name, and no directory."""
    virtual.do(virtual.emulator.script, "image", "success")
    picture = str(virtual.do(virtual.emulator.add_image, "success"))
    film = str(virtual.do(virtual.emulator.add_video, "SUCCESS"))
    make = ["generate", "image", "--model", "gpt-image-2", "a cat"]
    for number, command in enumerate((["download", picture], ["wait", picture], make)):
        path = tmp_path / f"{number}.png"
        result = invoke(*command, "--save", str(path))
        assert (result.status, path.is_file()) == (0, True)
        assert result.lines[-1].endswith(str(path))
    path = tmp_path / "new" / "rain.mp4"
    assert invoke("download", film, "--save", str(path)).lines == [str(path)]
    assert path.is_file()
