"""Remove noise from the input of a pipecat agent, in its own process.

from pipecat.transports.base_transport import TransportParams
from pipecat_filter import StillwaveFilter

params = TransportParams(audio_in_enabled=True, audio_in_filter=StillwaveFilter())
"""

import asyncio

from pipecat.audio.filters.base_audio_filter import BaseAudioFilter
from pipecat.frames.frames import FilterEnableFrame

import stillwave
from stillwave.live.pcm import PcmDecoder, PcmEncoder


class StillwaveFilter(BaseAudioFilter):
    """Enhance 16-bit mono, as many samples out as in, `delay_samples` later."""

    def __init__(self, model=None, limit_db=None):
        self._enhancer, self._limit_db = stillwave.load(model), limit_db
        self._enabled = True

    async def start(self, sample_rate):
        self._stream = self._enhancer.open(sample_rate, limit_db=self._limit_db)
        self._decoder, self._encoder = PcmDecoder("s16le", 1), PcmEncoder("s16le")

    async def stop(self):
        self._stream.reset()

    async def process_frame(self, frame):
        if isinstance(frame, FilterEnableFrame):
            self._enabled = frame.enable

    async def filter(self, audio):
        if not self._enabled:
            return audio
        samples = self._decoder.push(audio)
        return self._encoder.push((await asyncio.to_thread(self._stream.process, samples[0]))[None])
