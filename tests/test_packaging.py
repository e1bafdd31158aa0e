"""The package as installed: the wheel, and the base install without PyTorch."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def base_requirements() -> set[str]:
    """Every distribution that the base install brings, by following requirements without extras."""
    found: set[str] = set()
    todo = ["stillwave"]
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found.add(name)
        for line in metadata.requires(name) or []:
            requirement, _, marker = line.partition(";")
            if "extra" in marker or ("sys_platform" in marker and "linux" not in marker):
                continue
            dependency = re.match(r"[\w.-]+", requirement)
            assert dependency is not None
            try:
                metadata.distribution(dependency[0])
            except metadata.PackageNotFoundError:
                continue  # a marker that does not hold here (an older Python, say)
            todo.append(dependency[0])
    return found - {"stillwave"}


@pytest.fixture(scope="module")
def bare_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site-packages folder with the base install's distributions and nothing else."""
    site = tmp_path_factory.mktemp("site")
    for name in base_requirements():
        distribution = metadata.distribution(name)
        tops = {
            file.parts[0] for file in distribution.files or [] if file.parts[0] not in ("..", "__pycache__")
        }
        for top in tops:
            link = site / top
            if not link.exists():
                link.symlink_to(Path(str(distribution.locate_file(top))))
    (site / "stillwave").symlink_to(ROOT / "src" / "stillwave")
    return site


def run_bare(site: Path, code: str) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin", "HOME": str(site)}
    return subprocess.run(
        [sys.executable, "-S", "-c", code], env=environment, capture_output=True, text=True, check=False
    )


def test_the_bare_environment_has_no_torch(bare_site: Path) -> None:
    result = run_bare(bare_site, "import torch")
    assert "No module named 'torch'" in result.stderr


def test_base_imports_and_shows_help_without_torch(bare_site: Path) -> None:
    code = (
        "import sys, stillwave, stillwave.cli as cli; app = cli.build(); "
        "assert 'torch' not in sys.modules; sys.argv = ['stillwave', '--help']; app()"
    )
    result = run_bare(bare_site, code)
    assert result.returncode == 0, result.stderr
    assert "enhance" in result.stdout


def test_a_verb_that_needs_torch_names_the_extra(bare_site: Path, tmp_path: Path) -> None:
    code = f"import sys, stillwave.cli as c; sys.argv = ['stillwave', 'info', {str(tmp_path)!r}]; c.main()"
    result = run_bare(bare_site, code)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert "stillwave[train]" in " ".join(result.stderr.split())


def test_the_base_install_cleans_a_recording_and_looks_at_its_models(bare_site: Path, tmp_path: Path) -> None:
    """Every command with a model runs without PyTorch and with the default model."""
    noisy = tmp_path / "noisy.wav"
    code = (
        "import sys, numpy, stillwave, stillwave.cli as c, stillwave.audio as audio\n"
        f"audio.write({str(noisy)!r}, 0.1 * numpy.random.default_rng(0).standard_normal((1, 16000)), 16000)\n"
        "def run(*words):\n"
        "    sys.argv = ['stillwave', *words]\n"
        "    try: c.main()\n"
        "    except SystemExit as end: assert not end.code, (words, end.code)\n"
        f"run('enhance', {str(noisy)!r})\n"
        "run('models'); run('models', stillwave.pretrained.default()); run('info', '--json')\n"
        "run('probe', '--seconds', '0.2'); run('latency', '--frames', '10', '--rounds', '1', '--streams', '0')\n"
        "assert stillwave.load(stillwave.pretrained.default() + '-int8').open(48_000).delay_samples > 0\n"
        "assert 'torch' not in sys.modules"
    )
    before = set(bare_site.iterdir())
    result = run_bare(bare_site, code)
    assert result.returncode == 0, result.stderr
    assert set(bare_site.iterdir()) == before, "nothing keeps a record at home: no telemetry"
    assert (tmp_path / "noisy-enhanced.wav").exists()
    assert "stillwave[train]" in " ".join(
        result.stderr.split() + result.stdout.split()
    )  # PyTorch's row of latency


def test_every_module_imports_lazily(bare_site: Path) -> None:
    """No command of the table pulls in an extra before it is called."""
    heavy = ["torch", "scipy", "matplotlib", "joblib", "pesq", "onnxruntime"]
    code = f"import sys, stillwave.cli as c; c.build(); print([m for m in {heavy} if m in sys.modules])"
    result = run_bare(bare_site, code)
    assert result.stdout.strip() == "[]", result.stderr


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_the_recipes(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(tmp_path), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "stillwave/py.typed" in names
    shipped = {path.name for path in (ROOT / "src" / "stillwave" / "pretrained" / "shipped").iterdir()}
    assert len(shipped) >= 3
    assert {f"stillwave/pretrained/shipped/{name}" for name in shipped} <= names
    assert "stillwave/pretrained/ATTRIBUTION.md" in names
    for network in ("denoiser-teacher", "bsrnn-m", "bsrnn-s", "bsrnn-xs"):
        place = f"stillwave/pretrained/checkpoints/{network}"
        assert {f"{place}/card.json", f"{place}/weights.safetensors"} <= names
    assert {
        f"stillwave/recipes/{path.name}" for path in (ROOT / "src" / "stillwave" / "recipes").glob("*.yaml")
    } <= names
    assert any(name.startswith("stillwave/quickstart/") and name.endswith(".html") for name in names)
    assert not [name for name in names if name.startswith(("tests", "docs"))]
