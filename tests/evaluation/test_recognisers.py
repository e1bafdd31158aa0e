"""The adapters: what they refuse, and what comes out of those that can run here."""

from __future__ import annotations

import importlib.util
import json
import sys
import types

import numpy as np
import pytest
import soundfile
from fake_recognisers import program
from voices import RATE, noisy, voice

from stillwave.data.demo.espeak import Voice, available, speak_in_process
from stillwave.errors import MissingExtraError
from stillwave.evaluation.recognisers import NoTranscriptError, Recogniser, RecogniserError, identity, load
from stillwave.evaluation.recognisers.command import CommandRecogniser

needs = {
    name: pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"{name} is not installed")
    for name in ("pocketsphinx", "transformers")
}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pocketsfinx", "'pocketsfinx'.*'pocketsphinx'"),
        ("", "'';.*: cmd, faster-whisper, pocketsphinx, wav2vec2, whisper"),
        ("cmd:", "write {wav}"),
        ("cmd: cat", "write {wav}"),
        ("cmd: {wav}", "write {wav}"),
        ("cmd: 'cat {wav}", "'cat {wav}: .*quotation"),
        ("cmd: no-such-asr {wav}", "'no-such-asr'"),
        ("pocketsphinx:fast", "pocketsphinx:fast: .*'pocketsphinx'"),
        ("wav2vec2", "wav2vec2:FOLDER.*wav2vec2-base-960h.*vocab.json"),
        ("wav2vec2:facebook/wav2vec2-base-960h", "960h: is not a folder.*vocab.json"),
        ("faster-whisper", "faster-whisper:FOLDER.*model.bin"),
        ("faster-whisper:tiny.en", "tiny.en: is not a folder.*tokenizer.json"),
        ("whisper", "whisper:FOLDER"),
        ("whisper:absent.pt", "absent.pt: .*no such file"),
    ],
)
def test_invalid_recognisers_are_refused(text, words):
    with pytest.raises(RecogniserError, match=words) as caught:
        load(text)
    assert "\n" not in str(caught.value)


def test_one_recogniser_a_process():
    assert load("cmd: cat {wav}") is load("cmd: cat {wav}")


# --- any program ------------------------------------------------------------------------------------------


def test_a_program_gets_a_plain_wav_and_its_words_come_back(tmp_path):
    body = """
file = wave.open(wav)
print(file.getnchannels(), file.getsampwidth(), file.getframerate(), frames)
"""
    recogniser: Recogniser = load(program(tmp_path / "my asr.py", body))
    assert recogniser.transcribe(voice(0.5), RATE).split() == ["1", "2", "16000", "8000"]
    assert recogniser.transcribe(voice(0.5), 32_000).split()[2:] == ["16000", "4000"]  # half as long there
    assert identity(recogniser).startswith("cmd: ")


def test_a_command_is_run_without_a_shell(tmp_path):
    line = program(tmp_path / "asr.py", "print(sys.argv[2:])")
    assert "$HOME;" in load(f"{line} $HOME; '{{wav}}'").transcribe(voice(0.1), RATE)


def test_a_program_that_fails(tmp_path):
    body = """
print("half a transcript")
sys.exit(f"first\\n{wav}: no model")
"""
    recogniser = load(program(tmp_path / "asr.py", body))
    with pytest.raises(NoTranscriptError, match=r"exit code 1: the file: no model$"):
        recogniser.transcribe(voice(0.1), RATE)


def test_a_program_that_does_not_end(tmp_path):
    line = program(tmp_path / "asr.py", "import time; time.sleep(60)").removeprefix("cmd: ")
    with pytest.raises(NoTranscriptError, match=r"exceeded 0\.5 s"):
        CommandRecogniser(line, timeout=0.5).transcribe(voice(0.1), RATE)


def test_output_that_is_not_utf_8_is_decoded(tmp_path):
    line = program(tmp_path / "asr.py", "sys.stdout.buffer.write(b'a \\xff b')")
    assert load(line).transcribe(voice(0.1), RATE).split()[::2] == ["a", "b"]


def test_several_channels_are_refused(tmp_path):
    with pytest.raises(NoTranscriptError, match="2 channels"):
        load("cmd: cat {wav}").transcribe(np.zeros((2, 800), np.float32), RATE)


# --- pocketsphinx -----------------------------------------------------------------------------------------


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    load.cache_clear()
    with pytest.raises(MissingExtraError) as caught:
        load("pocketsphinx")
    assert caught.value.extra == "asr"


@needs["pocketsphinx"]
@pytest.mark.skipif(not available(), reason="the extra demo is not installed")
@pytest.mark.slow
def test_pocketsphinx_transcripts_do_not_depend_on_earlier_files(tmp_path):
    """Its noise estimate persists: without a reset the first of these is transcribed differently afterwards."""
    lines = [
        (text, tmp_path / f"{text}.wav") for text in ("put the book on the table", "seven days in a week")
    ]
    speak_in_process(Voice("en-us", "m3", words_per_minute=140), lines, RATE)
    clips = [noisy(soundfile.read(file, dtype="float32")[0], 10, n) for n, (_, file) in enumerate(lines)]
    recogniser = load("pocketsphinx")
    first = recogniser.transcribe(clips[0], RATE)
    assert recogniser.transcribe(clips[1], RATE) != first
    assert recogniser.transcribe(clips[0], RATE) == first


@needs["pocketsphinx"]
def test_pocketsphinx_returns_no_words_for_a_very_short_signal():
    recogniser = load("pocketsphinx")
    assert recogniser.transcribe(np.zeros(10, np.float32), RATE) == ""
    assert identity(recogniser).startswith("pocketsphinx 5.")


# --- through transformers, with networks of random weights ------------------------------------------------


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A wav2vec2 of a few thousand weights in the files that a published one has."""
    import torch
    import transformers as t

    folder = tmp_path_factory.mktemp("asr") / "tiny-wav2vec2"
    folder.mkdir()
    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ABCDE'"]
    (folder / "vocab.json").write_text(json.dumps({letter: n for n, letter in enumerate(letters)}))
    config = t.Wav2Vec2Config(
        vocab_size=len(letters), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        conv_dim=(8,) * 7, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    torch.manual_seed(0)
    t.Wav2Vec2ForCTC(config).save_pretrained(folder)
    t.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return folder


@needs["transformers"]
def test_wav2vec2_is_the_largest_logit_of_each_frame(tiny):
    import torch
    import transformers as t

    samples = voice(0.5)
    recogniser = load(f"wav2vec2:{tiny}")
    text = recogniser.transcribe(samples, RATE)

    model = t.Wav2Vec2ForCTC.from_pretrained(str(tiny)).eval()
    centred = torch.tensor((samples - samples.mean()) / np.sqrt(samples.var() + 1e-7))
    with torch.no_grad():
        best = model(centred[None]).logits[0].argmax(-1).tolist()
    letters = list(json.loads((tiny / "vocab.json").read_text()))
    kept = [letters[n] for i, n in enumerate(best) if i == 0 or n != best[i - 1]]
    assert text == "".join(kept).replace("<pad>", "").replace("|", " ").strip()
    assert len(set(text)) > 3
    assert text == recogniser.transcribe(samples, RATE)
    assert recogniser.name == "wav2vec2:tiny-wav2vec2"
    assert "transformers" in recogniser.version
    with pytest.raises(NoTranscriptError, match="too short"):
        recogniser.transcribe(voice(0.01), RATE)


@needs["transformers"]
def test_incomplete_or_damaged_folders_are_refused(tiny, tmp_path):
    import shutil

    broken = shutil.copytree(tiny, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(RecogniserError, match="broken: "):
        load(f"wav2vec2:{broken}").transcribe(voice(0.1), RATE)
    (broken / "vocab.json").unlink()
    load.cache_clear()
    with pytest.raises(RecogniserError, match=r"vocab\.json"):
        load(f"wav2vec2:{broken}")


@needs["transformers"]
def test_two_folders_of_other_weights_have_other_versions(tiny, tmp_path):
    import shutil

    other = shutil.copytree(tiny, tmp_path / tiny.name)
    weights = bytearray((other / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (other / "model.safetensors").write_bytes(weights)
    one, two = load(f"wav2vec2:{tiny}"), load(f"wav2vec2:{other}")
    assert one.name == two.name
    assert one.version != two.version


@pytest.fixture(scope="module")
def tiny_whisper(tmp_path_factory):
    """The same for an English-only Whisper with a byte tokeniser."""
    import torch
    import transformers as t

    folder = tmp_path_factory.mktemp("asr") / "tiny-whisper"
    folder.mkdir()
    printed = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(c) for c in printed] + [chr(256 + n) for n in range(256 - len(printed))]
    letters += ["<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>"]
    (folder / "vocab.json").write_text(json.dumps({letter: n for n, letter in enumerate(letters)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    torch.manual_seed(1)
    model = t.WhisperForConditionalGeneration(
        t.WhisperConfig(
            vocab_size=len(letters), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
            decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_target_positions=32,
            bos_token_id=256, eos_token_id=256, pad_token_id=256, decoder_start_token_id=257,
        )
    )  # fmt: skip
    model.generation_config.max_length = 10
    model.save_pretrained(folder)
    t.WhisperFeatureExtractor().save_pretrained(folder)
    return folder


@needs["transformers"]
def test_whisper_takes_the_likeliest_token_every_time(tiny_whisper):
    import torch
    import transformers as t

    recogniser, samples = load(f"whisper:{tiny_whisper}"), voice(0.5)
    text = recogniser.transcribe(samples, RATE)

    model = t.WhisperForConditionalGeneration.from_pretrained(str(tiny_whisper)).eval()
    features = t.WhisperFeatureExtractor()(samples, sampling_rate=RATE, return_tensors="pt").input_features
    tokens = [257]
    with torch.no_grad():
        while tokens[-1] != 256 and len(tokens) < 11:
            tokens.append(
                int(model(features, decoder_input_ids=torch.tensor([tokens])).logits[0, -1].argmax())
            )
    expected = t.WhisperTokenizer(str(tiny_whisper / "vocab.json"), str(tiny_whisper / "merges.txt"))
    assert text == expected.decode([token for token in tokens if token < 256])
    assert text
    assert recogniser.name == "whisper:tiny-whisper"
    with pytest.raises(NoTranscriptError, match="30 s at most"):
        recogniser.transcribe(np.zeros(31 * RATE, np.float32), RATE)


def test_a_whisper_file_is_handed_to_openai_whisper(tmp_path, monkeypatch):
    """The package is stood in for: what is asked of it, and that it is asked offline and greedily."""
    asked = {}

    class Model:
        def transcribe(self, samples, **options):
            asked.update(options, samples=samples)
            return {"text": " Some words."}

    module = types.ModuleType("whisper")
    module.load_model = lambda path, device: asked.update(path=path, device=device) or Model()
    module.__spec__ = importlib.util.spec_from_loader("whisper", None)
    monkeypatch.setitem(sys.modules, "whisper", module)
    (tmp_path / "base.en.pt").write_bytes(b"weights")
    recogniser = load(f"whisper:{tmp_path / 'base.en.pt'}")
    assert recogniser.transcribe(voice(0.5), 32_000).strip() == "Some words."
    assert len(asked["samples"]) == 4000
    assert (asked["path"], asked["device"]) == (str(tmp_path / "base.en.pt"), "cpu")
    assert asked["temperature"] == 0
    assert recogniser.name == "whisper:base.en"
