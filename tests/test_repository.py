"""Workflows, forms, Dockerfile and release script: what they name exists, and they agree with the package."""

from __future__ import annotations

import fnmatch
import re
import runpy
import sys
from pathlib import Path

import pytest
import yaml

import stillwave

tomllib = pytest.importorskip("tomllib")  # Python 3.11

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
if not GITHUB.is_dir():
    pytest.skip("not in a checkout", allow_module_level=True)

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = {
    path.name: yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in (GITHUB / "workflows").glob("*.yml")
}
FORMS = sorted(path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
JOBS = [(f"{name}: {key}", job) for name, flow in WORKFLOWS.items() for key, job in flow["jobs"].items()]
STEPS = [(where, step) for where, job in JOBS for step in job.get("steps", [])]
RUNS = [(where, step["run"]) for where, step in STEPS if "run" in step]
PINNED = re.compile(r"\./[\w./-]+|[\w.-]+/[\w./-]+@(v\d+(\.\d+)*|release/v\d+|[0-9a-f]{40})")
MADE = {"clean", "dist", "unpacked", "work"}
"""Folders that a workflow makes itself."""


def triggers(flow: dict) -> dict:
    return flow[True]  # YAML 1.1 reads the key `on` as a truth value


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions and arguments, continued lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def test_the_workflows_exist() -> None:
    assert set(WORKFLOWS) == {"ci.yml", "nightly.yml", "release.yml"}
    assert {"push", "pull_request"} <= set(triggers(WORKFLOWS["ci.yml"]))
    assert "schedule" in triggers(WORKFLOWS["nightly.yml"])
    assert triggers(WORKFLOWS["release.yml"])["workflow_dispatch"]["inputs"]["dry_run"]["default"] is True


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {target for _, run in RUNS for target in re.findall(r"\bmake ([a-z-]+)", run)}
    assert {"lint", "test", "test-all", "docs"} <= named <= targets


def test_paths_exist() -> None:
    tops = {path.name for path in ROOT.iterdir()} - MADE
    words = [(where, word.strip("'\"")) for where, run in RUNS for word in run.split()]
    paths = [(where, word) for where, word in words if word.split("/")[0] in tops and "/" in word]
    assert len(paths) > 5
    assert [(where, path) for where, path in paths if not (ROOT / path).exists()] == []
    patterns = {step["with"].get("cache-dependency-path", "") for _, step in STEPS if "with" in step} - {""}
    assert [pattern for pattern in patterns if not list(ROOT.glob(pattern))] == []


def test_extras_exist() -> None:
    texts = [run for _, run in RUNS] + [(ROOT / "Dockerfile").read_text(encoding="utf-8")]
    named = {
        extra
        for text in texts
        for group in re.findall(r"(?:\.|stillwave)\[([\w,]+)\]", text)
        for extra in group.split(",")
    }
    assert named
    assert named <= set(PROJECT["optional-dependencies"])


def test_python_versions_agree_with_the_package() -> None:
    stated = re.findall(r"Python :: (3\.\d+)", " ".join(PROJECT["classifiers"]))
    jobs = WORKFLOWS["ci.yml"]["jobs"]
    assert jobs["tests"]["strategy"]["matrix"]["python"] == stated
    assert PROJECT["requires-python"] == f">={stated[0]}"
    assert set(jobs["smoke"]["strategy"]["matrix"]["python"]) == {stated[0], stated[-1]}
    others = {
        str(step["with"]["python-version"])
        for _, step in STEPS
        if "setup-python" in step.get("uses", "") and "matrix" not in str(step["with"]["python-version"])
    }
    image = dict(argument.split("=") for word, argument in instructions() if word == "ARG")["PYTHON"]
    assert others | {image} <= set(stated)


def test_tested_operating_systems() -> None:
    systems = set(WORKFLOWS["ci.yml"]["jobs"]["smoke"]["strategy"]["matrix"]["os"])
    assert systems == {"ubuntu-latest", "macos-latest", "windows-latest"}


def test_actions_are_pinned() -> None:
    used = [job["uses"] for _, job in JOBS if "uses" in job]
    used += [step["uses"] for _, step in STEPS if "uses" in step]
    assert [name for name in used if not PINNED.fullmatch(name)] == []
    assert [name for name in used if name.startswith("./") and not (ROOT / name).exists()] == []


def test_permissions_are_minimal() -> None:
    assert all(flow["permissions"] == {"contents": "read"} for flow in WORKFLOWS.values())
    special = {where: job["permissions"] for where, job in JOBS if "permissions" in job}
    assert special == {"release.yml: publish": {"id-token": "write"}}
    checkouts = [step for _, step in STEPS if step.get("uses", "").startswith("actions/checkout@")]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_no_untrusted_value_is_expanded_in_a_shell() -> None:
    assert [where for where, run in RUNS if "${{" in run] == []


def test_jobs_have_timeouts_and_concurrency_groups() -> None:
    assert [where for where, job in JOBS if "timeout-minutes" not in job and "uses" not in job] == []
    groups = [flow["concurrency"]["group"] for flow in WORKFLOWS.values()]
    assert len(set(groups)) == len(groups)
    assert WORKFLOWS["release.yml"]["concurrency"]["cancel-in-progress"] is False


def test_needed_jobs_and_artifacts_exist() -> None:
    for flow in WORKFLOWS.values():
        for job in flow["jobs"].values():
            needs = job.get("needs", [])
            assert ({needs} if isinstance(needs, str) else set(needs)) <= set(flow["jobs"])
            matrix = job.get("strategy", {}).get("matrix", {})
            assert set(re.findall(r"\$\{\{ matrix\.(\w+)", str(job))) <= set(matrix)
    uploaded = {s["with"]["name"] for _, s in STEPS if "upload-artifact@" in s.get("uses", "")}
    downloaded = {s["with"]["name"] for _, s in STEPS if "download-artifact@" in s.get("uses", "")}
    assert downloaded == uploaded == {"dist"}


def test_publishing_waits_for_the_checks_and_a_tag() -> None:
    jobs = WORKFLOWS["release.yml"]["jobs"]
    assert jobs["publish"]["needs"] == "checks"
    assert jobs["checks"]["uses"] == "./.github/workflows/ci.yml"
    assert jobs["checks"]["needs"] == "version"
    assert "ref_type == 'tag'" in jobs["publish"]["if"]
    assert "!inputs.dry_run" in jobs["publish"]["if"]
    assert jobs["publish"]["environment"] == "pypi"


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_forms_are_valid(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= set(form)
    ids = [field["id"] for field in form["body"] if field["type"] != "markdown"]
    labels = [field["attributes"]["label"] for field in form["body"] if field["type"] != "markdown"]
    assert len(set(ids)) == len(ids) > 0
    assert len(set(labels)) == len(labels)
    for field in form["body"]:
        assert set(field) <= {"type", "id", "attributes", "validations"}
        assert field["type"] in {"markdown", "input", "textarea", "dropdown", "checkboxes"}
        options = field["attributes"].get("options")
        assert bool(options) == (field["type"] in {"dropdown", "checkboxes"})
        assert set(field.get("validations", {})) <= {"required"}
        assert field["type"] != "markdown" or field["attributes"]["value"]


def test_forms_ask_for_what_is_needed() -> None:
    assert [path.stem for path in FORMS] == ["bug", "feature", "model-quality"]
    bug = yaml.safe_load((GITHUB / "ISSUE_TEMPLATE" / "bug.yml").read_text(encoding="utf-8"))
    fields = {field["id"]: field for field in bug["body"] if "id" in field}
    assert {"version", "system", "format"} <= set(fields)
    assert fields["version"]["validations"]["required"] is True
    assert "stillwave --version" in fields["version"]["attributes"]["description"]


@pytest.mark.parametrize("page", ["SECURITY.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_exist(page: str) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / page).read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []


def test_the_image_gets_every_file_that_its_stages_copy() -> None:
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    kept = [rule[1:] for rule in rules if rule.startswith("!")]
    assert "*" in rules
    copied = [argument.split()[:-1] for word, argument in instructions() if word == "COPY"]
    sources = {path for paths in copied if not paths[0].startswith("--from") for path in paths}
    assert {"pyproject.toml", "src"} <= sources
    assert [path for path in sources if not (ROOT / path).exists()] == []
    assert [path for path in sources if not any(fnmatch.fnmatch(path, rule) for rule in kept)] == []
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    assert set(build["targets"]["wheel"]["force-include"]) <= sources
    assert {PROJECT["readme"], *PROJECT["license-files"]} <= sources


def test_the_image_has_minimal_permissions() -> None:
    found = instructions()
    stages = [argument for word, argument in found if word == "FROM"]
    assert len(stages) == 3
    last = found[max(i for i, (word, _) in enumerate(found) if word == "FROM") :]
    settings = dict(last)
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", settings["USER"])
    assert settings["ENTRYPOINT"] == '["stillwave"]'
    assert "/healthz" in settings["HEALTHCHECK"]
    assert settings["CMD"].startswith('["web", "--host", "0.0.0.0"')
    runs = " && ".join(argument for word, argument in found if word == "RUN")
    installs = [part for part in runs.split(" && ") if re.search(r"\bpip\b.* install ", part)]
    assert len(installs) == 3
    assert all("--require-hashes" in part or "--no-deps --no-index" in part for part in installs)


def pins(name: str) -> dict[str, str]:
    """Return the versions in a lock by normalised name."""
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    found = re.findall(r"^([\w.-]+)==([^\s;]+)", text, flags=re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", package).lower(): version for package, version in found}


def test_the_image_has_the_tested_versions_of_all_that_is_needed() -> None:
    for name, requirements in (
        ("web.lock", [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["web"]]),
        ("build.lock", ["build", "hatchling"]),
    ):
        locked, tested = pins(name), pins("dev.lock")
        assert locked.items() <= tested.items(), name
        needed = {re.match(r"[\w-]+", line)[0].lower().replace("_", "-") for line in requirements}
        assert needed <= set(locked), name
        text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
        assert len(re.findall(r"==[^\n]*\\\n    --hash=sha256:[0-9a-f]{64}", text)) == len(locked), name


def check_version(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    """What the release script ends with: None, or the faults."""
    script = str(ROOT / "tools" / "release" / "check_version.py")
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(script, run_name="__main__")
    return end.value.code


def test_a_tag_must_be_the_version(monkeypatch) -> None:
    assert f"the tag must be v{stillwave.__version__}" in str(check_version(monkeypatch, "v99.0.0"))
    assert check_version(monkeypatch) is None


def test_a_release_needs_a_dated_section_of_the_changelog(tmp_path: Path) -> None:
    script = runpy.run_path(str(ROOT / "tools" / "release" / "check_version.py"))
    (tmp_path / "src" / "stillwave").mkdir(parents=True)
    (tmp_path / "src" / "stillwave" / "__init__.py").write_text('__version__ = "1.2.3rc1"\n')
    (tmp_path / "CITATION.cff").write_text("cff-version: 1.2.0\nversion: 1.2.3rc1\n")
    script["faults"].__globals__["ROOT"] = tmp_path
    faults = script["faults"]
    for text in (
        "## Unreleased\n",
        "## 1.2.3rc1\n",
        "## 1.2.3rc10 - 2026-01-02\n",
        "## 1x2.3rc1 - 2026-01-02\n",
    ):
        (tmp_path / "CHANGELOG.md").write_text(text)
        assert len(faults("v1.2.3rc1")) == 1
    (tmp_path / "CHANGELOG.md").write_text("## Unreleased\n\n## 1.2.3rc1 - 2026-01-02\n")
    assert faults("v1.2.3rc1") == []
    assert len(faults("1.2.3rc1")) == 1
    assert faults(None) == []
    (tmp_path / "CITATION.cff").write_text("cff-version: 1.2.0\nversion: 1.2.2\n")
    assert len(faults(None)) == 1


def test_the_changelog_is_kept_by_release() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    sections = [line for line in lines if line.startswith("## ")]
    assert sections[0] == "## Unreleased"
    kinds = {line for line in lines if line.startswith("### ")}
    assert kinds <= {
        f"### {kind}" for kind in ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
    }
