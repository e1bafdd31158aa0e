"""Admission, settings, spool and log filter on their own."""

from __future__ import annotations

import logging

import pytest

from stillwave.errors import StillwaveError
from stillwave.web.capacity import USABLE, Admission
from stillwave.web.logs import WithoutClients
from stillwave.web.problems import Problem
from stillwave.web.settings import Settings, SettingsError, checked, from_environment, given_by
from stillwave.web.spool import Spool


def test_streams_are_admitted_by_their_cost():
    admission = Admission({"small": 0.125, "large": 0.25}, threads=2)
    assert admission.budget == 2 * USABLE
    assert (admission.capacity("small"), admission.capacity("large")) == (9, 4)
    costs = [admission.add("large", 1), admission.add("small", 7)]
    with pytest.raises(Problem) as full:
        admission.add("large", 1)
    assert full.value.type == "full"
    admission.remove(costs[0])
    admission.add("large", 1)
    assert admission.streams == 2


def test_a_slow_machine_serves_one_stream():
    admission = Admission({"large": 5.0}, threads=1)
    admission.add("large", 1)
    with pytest.raises(Problem) as full:
        admission.add("large", 1)
    assert (full.value.status, full.value.retry_after is not None) == (429, True)


def test_a_number_of_streams_replaces_the_measurement():
    admission = Admission({"large": 0.0}, threads=1, most=2)
    for _ in range(2):
        admission.add("large", 8)
    with pytest.raises(Problem):
        admission.check("large")


def test_settings_pass_through_the_environment():
    settings = Settings(
        token="a-token-of-some-length", allow_hosts=("a.example", "b.example"), max_seconds=12.5
    )
    assert from_environment(settings.environment()) == settings


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"host": "0.0.0.0"}, "needed"),
        ({"token": "with a space in the token"}, "printable"),
        ({"max_seconds": -1}, "max_seconds"),
        ({"other": 1}, "other"),
    ],
)
def test_wrong_settings_are_one_sentence(given, text):
    with pytest.raises(SettingsError, match=text) as error:
        checked(given)
    assert "\n" not in str(error.value)


def test_a_spool_is_private_and_removes_what_dead_processes_left(tmp_path):
    root = tmp_path / "spool"
    first = Spool(root)
    left = root / "process-dead"
    (left / "request-1").mkdir(parents=True)
    second = Spool(root)
    assert not left.exists()
    assert first.path.exists()  # of a process that runs
    with second.folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()
    for spool in (first, second):
        spool.close()
        assert not spool.path.exists()


def test_a_folder_that_others_can_open_is_refused(tmp_path):
    (tmp_path / "spool").mkdir(mode=0o755)
    with pytest.raises(StillwaveError, match=r"spool: .*only the user"):
        Spool(tmp_path / "spool")
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(StillwaveError, match=r"link: .*only the user"):
        Spool(tmp_path / "link")


def test_faults_of_clients_are_not_logged():
    def record(text: str) -> logging.LogRecord:
        return logging.LogRecord("uvicorn.error", logging.WARNING, "", 0, text, (), None)

    assert not WithoutClients().filter(record("Invalid HTTP request received."))
    assert WithoutClients().filter(record("Exception in ASGI application"))


def test_all_settings_reach_the_workers_whatever_their_environment_held():
    settings = checked(
        {"max_seconds": 14_400.0, "stall_seconds": 7, "allow_hosts": ("a.example", "b.example")}
    )
    assert from_environment({"STILLWAVE_WEB_MAX_SECONDS": "5", **settings.environment()}) == settings


def test_settings_without_an_option_come_from_the_environment():
    assert given_by({"STILLWAVE_WEB_STALL_SECONDS": "7", "STILLWAVE_WEB_PORT": "", "HOME": "/"}) == {
        "stall_seconds": "7"
    }
