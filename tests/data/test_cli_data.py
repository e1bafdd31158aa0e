import json

import pytest
import typer
import yaml
from typer.testing import CliRunner

from stillwave.cli import data, guard
from stillwave.data.manifest import read_manifest, write_manifest
from stillwave.data.pair_sets import read_pairs


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    for command in data.app.registered_commands:
        app.command(command.name)(guard(command.callback))

    def invoke(*arguments, code=0):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == code, result.output + str(result.exception)
        return result

    return invoke


def test_scan_then_check_then_split(run, tmp_path, world):
    report = json.loads(run("scan", world["folder"] / "speech", "-o", "speech.jsonl", "--json").stdout)
    assert report["speech"]["recordings"] == 24
    assert report["speech"]["speakers"] == 6
    assert "faults               none" in run("check", "speech.jsonl").stdout
    report = json.loads(run("split", "speech.jsonl", "--fraction", "0.3", "--json").stdout)
    sides = [read_manifest(report[side]["manifest"]) for side in ("train", "development")]
    assert {r.speaker for r in sides[0]}.isdisjoint(r.speaker for r in sides[1])
    assert (tmp_path / "speech-train.jsonl").is_file()


def test_scan_reports_skipped_files(run, tmp_path, world):
    (world["folder"] / "noise" / "readme.txt").write_text("x")
    out = run("scan", world["folder"] / "noise", "-o", "n.jsonl", "--kind", "noise").stdout
    assert "left out             not audio 1" in out
    assert "readme.txt" in out


def test_clips_of_one_original_that_a_csv_column_names_stay_together(run, tmp_path, world):
    rows = [f"{r.path},{'storm' if i < 2 else i}" for i, r in enumerate(world["noise"])]
    (tmp_path / "noise.csv").write_text("\n".join(["file,original", *rows]))
    run("scan", "noise.csv", "--kind", "noise", "--column", "source=original", "-o", "n.jsonl")
    run("split", "n.jsonl", "--fraction", "0.5")
    kept, held = ({r.source for r in read_manifest(f"n-{side}.jsonl")} for side in ("train", "development"))
    assert kept.isdisjoint(held)
    assert kept | held == {"storm", "2", "3"}
    assert (
        "write FIELD=COLUMN" in run("scan", "noise.csv", "--column", "source", "-o", "n.jsonl", code=2).output
    )


def test_a_corpus_of_several_kinds_gives_several_manifests(run, tmp_path, world):
    import shutil

    shutil.copytree(world["folder"] / "noise", tmp_path / "dns/noise")
    shutil.copytree(world["folder"] / "speech", tmp_path / "dns/clean")
    run("scan", "dns", "--corpus", "dns2020", "-o", "m/dns.jsonl")
    assert {path.name for path in (tmp_path / "m").iterdir()} == {"dns-speech.jsonl", "dns-noise.jsonl"}


def test_check_fails_if_a_file_is_missing(run, world):
    gone = world["speech"][0].model_copy(update={"path": world["folder"] / "gone.flac"})
    write_manifest("m.jsonl", [gone, world["speech"][1]])
    assert "no such file" in run("check", "m.jsonl", code=1).stdout
    assert "faults               none" in run("check", world["folder"] / "noise").stdout


@pytest.fixture
def recipe(tmp_path, world):
    sources = {name: str(world["folder"] / name) for name in ("speech", "noise", "rooms")}
    text = yaml.safe_dump(
        {"data": {"train": sources, "development": sources, "cache": "cache", "mixing": {"babble": 0}}}
    )
    (tmp_path / "recipe.yaml").write_text(text)
    return "recipe.yaml"


def test_mix_writes_what_evaluate_reads_and_does_not_overwrite(run, tmp_path, recipe):
    out = run("mix", recipe, "-o", "fixed", "--count", "3", "--seed", "5", "--json").stdout
    assert json.loads(out)["mixtures"] == 3
    first = [pair.noisy.read_bytes() for pair in read_pairs(tmp_path / "fixed")]
    assert "--overwrite" in run("mix", recipe, "-o", "fixed", code=2).output
    run("mix", recipe, "-o", "fixed", "--count", "3", "--seed", "5", "--overwrite", "--segments")
    assert all(pair.seconds == 2.0 for pair in read_pairs(tmp_path / "fixed"))
    run("mix", recipe, "-o", "again", "--count", "3", "--seed", "5")
    assert [pair.noisy.read_bytes() for pair in read_pairs(tmp_path / "again")] == first


def test_mix_replaces_nothing_but_mixtures(run, tmp_path, recipe):
    (tmp_path / "talks").mkdir()
    (tmp_path / "talks" / "mine.wav").touch()
    refused = run("mix", recipe, "-o", "talks", "--count", "1", "--overwrite", code=2).stderr
    assert "talks: contains 'mine.wav', which is no part of a set of mixtures" in " ".join(refused.split())
    assert [path.name for path in (tmp_path / "talks").iterdir()] == ["mine.wav"]
    refused = run("mix", recipe, "-o", "talks/mine.wav", "--overwrite", code=2).stderr
    assert "mine.wav: is a file; expected a folder" in " ".join(refused.split())


def test_scan_refuses_an_output_that_cannot_be_written_before_it_reads(run, tmp_path, world, monkeypatch):
    monkeypatch.setattr("stillwave.data.corpora.scan_corpus", lambda *_, **__: pytest.fail("has read"))
    (tmp_path / "file").touch()
    for output in (".", "file/m.jsonl"):
        refused = run("scan", world["folder"] / "speech", "-o", output, code=2).stderr
        assert "expected a folder" in refused or "is a folder; give the name of a file" in refused


def test_summary_as_text_and_json(run, world):
    assert "speakers             6" in run("summary", world["folder"] / "speech").stdout
    assert json.loads(run("summary", world["folder"] / "rooms", "--json").stdout)["channels"] == {
        "1": 1,
        "2": 1,
    }


def test_errors_are_single_sentences(run):
    for arguments in (("scan", "absent", "-o", "m.jsonl"), ("summary", "absent"), ("split", "absent")):
        result = run(*arguments, code=2)
        assert "Traceback" not in result.output
        assert "no such" in result.output


@pytest.mark.parametrize("verb", ["scan", "check", "split", "mix", "summary"])
def test_help_shows_an_example(run, verb):
    assert "Example:" in run(verb, "--help").stdout
