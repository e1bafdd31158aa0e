import subprocess

import numpy as np

import stillwave
from stillwave import provenance


def test_versions_are_those_installed():
    found = provenance.versions()
    assert found["stillwave"] == stillwave.__version__
    assert found["numpy"] == np.__version__


def test_git_state_of_a_checkout(tmp_path):
    def git(*arguments):
        subprocess.run(
            ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *arguments],
            check=True, capture_output=True,
        )  # fmt: skip

    assert provenance.git(tmp_path) is None
    git("init")
    assert provenance.git(tmp_path) is None, "no commit yet"
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-m", "a")
    clean = provenance.git(tmp_path)
    assert len(clean["commit"]) == 40
    assert clean["changed"] is False
    (tmp_path / "a").write_text("2")
    assert provenance.git(tmp_path) == {**clean, "changed": True}


def test_without_git_the_state_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.git(tmp_path) is None


def test_an_installed_copy_has_no_git_state(monkeypatch):
    monkeypatch.setattr(provenance, "__file__", "/venv/lib/site-packages/stillwave/provenance.py")
    assert provenance.git() is None


def test_the_environment_is_json():
    import json

    assert json.loads(json.dumps(provenance.environment()))["machine"]["cores"] >= 1
