"""Run the steps of the Dockerfile that install, in a folder instead of an image, and try what they installed.

    python tools/try_dockerfile.py

For machines without a container engine. `COPY` and `RUN` of the first two stages are carried out with this Python in
place of the image's, and with paths such as `/opt/stillwave` below a temporary folder; the steps of the last stage that
need root (apt-get, useradd) are left out. Then the image's command is started as its user (if this is run as root),
with nothing to write to but a folder for temporary files: its health check must succeed, `GET /v1/models` and
`POST /v1/enhance` must answer, and no installed file may change. Printed is the size of what the last stage copies.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PLACES = ("/source", "/wheel", "/opt/stillwave", "/web.lock")
TOKEN = "a-token-for-this-trial"
MB = 1e6


def instructions() -> list[tuple[str, str]]:
    """Return the instructions and arguments of the Dockerfile, continued lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def moved(text: str, image: Path) -> str:
    """Return a command with the paths of the image below `image`."""
    for place in PLACES:
        text = re.sub(rf"(?<![\w/.]){re.escape(place)}\b", f"{image}{place}", text)
    return text


def install(image: Path) -> None:
    """Carry out the stages that build and install."""
    builder, folder, stage = image / "builder", image, 0
    subprocess.run([sys.executable, "-m", "venv", str(builder)], check=True)
    environment = {**os.environ, "PATH": f"{builder}/bin:{os.environ['PATH']}"}
    for word, argument in instructions():
        stage += word == "FROM"
        if stage > 2:
            return
        if word == "WORKDIR":
            folder = Path(moved(argument, image))
            folder.mkdir(parents=True)
        elif word == "COPY" and not argument.startswith("--from"):
            *sources, target = argument.split()
            place = Path(moved(target, image))
            for source in sources:
                _copy(ROOT / source, place if place.is_absolute() else folder / place, len(sources) > 1)
        elif word == "RUN":
            print(f"stage {stage}: {argument[:100]}", flush=True)
            subprocess.run(["sh", "-ec", moved(argument, image)], cwd=folder, env=environment, check=True)


def _copy(source: Path, target: Path, several: bool) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        return
    place = target / source.name if several or target.is_dir() else target
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, place)


def size(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def last(word: str) -> str:
    """Return the argument of the last instruction of a kind."""
    return [argument for found, argument in instructions() if found == word][-1]


def try_out(image: Path) -> None:
    """Start the service as the image would, and ask it."""
    programs = image / "opt" / "stillwave" / "bin"
    before = {path: path.lstat().st_mtime_ns for path in programs.parent.rglob("*")}
    with tempfile.TemporaryDirectory() as temporary:
        environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": temporary,
            "STILLWAVE_WEB_TOKEN": TOKEN,
        }
        user = _user(programs)
        if user:
            os.chown(temporary, user["user"], user["group"])
        command = ["stillwave", *json.loads(last("CMD"))]
        process = subprocess.Popen(
            [str(programs / command[0]), *command[1:]], env=environment, cwd=temporary, **user
        )
        try:
            check = json.loads(last("HEALTHCHECK").partition("CMD ")[2])
            for _ in range(120):
                healthy = subprocess.run(
                    [str(programs / check[0]), *check[1:]], capture_output=True, check=False
                )
                if not healthy.returncode:
                    break
                time.sleep(0.5)
            else:
                raise SystemExit("the health check fails")
            print("health check: ok")
            _ask(programs)
        finally:
            process.terminate()
            process.wait()
    after = {path: path.lstat().st_mtime_ns for path in programs.parent.rglob("*")}
    print(f"installed files that changed: {sum(before.get(path) != time for path, time in after.items())}")


def _user(programs: Path) -> dict[str, Any]:
    """Return the options that start a process as the user of the image; none where that is not possible."""
    if os.getuid():
        return {}
    number = int(last("USER").partition(":")[0])
    user = {"user": number, "group": number, "extra_groups": ()}
    try:
        subprocess.run([str(programs / "python"), "--version"], check=True, capture_output=True, **user)  # type: ignore[call-overload]
    except OSError:
        print(
            f"this Python cannot be run by other users, so the service runs as root and not as user {number}"
        )
        return {}
    return user


def _ask(programs: Path) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    address = "http://127.0.0.1:8000/"
    with urllib.request.urlopen(urllib.request.Request(f"{address}v1/models", headers=headers)) as answer:
        print("models:", ", ".join(model["name"] for model in json.load(answer)["models"]))
    made = "import io, numpy, soundfile, sys; file = io.BytesIO(); noise = numpy.random.default_rng(0)"
    made += ".standard_normal(16_000); soundfile.write(file, 0.1 * noise, 16_000, format='WAV')"
    made += "; sys.stdout.buffer.write(file.getvalue())"
    recording = subprocess.run([str(programs / "python"), "-c", made], capture_output=True, check=True).stdout
    request = urllib.request.Request(f"{address}v1/enhance", recording, headers)
    with urllib.request.urlopen(request) as answer:
        print(f"enhance: {answer.status}, {len(answer.read())} bytes for {len(recording)}")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        image = Path(folder)
        image.chmod(0o755)
        install(image)
        installed = image / "opt" / "stillwave"
        print(
            f"/opt/stillwave: {size(installed) / MB:.0f} MB, to which the size of python:{_version()}-slim is added"
        )
        largest = sorted((installed / "lib").glob("python*/site-packages/*"), key=size, reverse=True)[:6]
        print("largest:", ", ".join(f"{path.name} {size(path) / MB:.0f} MB" for path in largest))
        try_out(image)


def _version() -> str:
    return dict(argument.split("=") for word, argument in instructions() if word == "ARG")["PYTHON"]


if __name__ == "__main__":
    main()
