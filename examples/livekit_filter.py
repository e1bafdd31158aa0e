"""Remove noise from a LiveKit audio track, in the process of the agent.

from livekit import rtc
from livekit_filter import StillwaveProcessor

stream = rtc.AudioStream(track, sample_rate=48_000, num_channels=1, noise_cancellation=StillwaveProcessor())
"""

from livekit import rtc

import stillwave
from stillwave.live.pcm import PcmDecoder, PcmEncoder


class StillwaveProcessor(rtc.FrameProcessor):
    """Enhance frames of any rate and number of channels, as many samples out as in, `delay_samples` later."""

    def __init__(self, model=None, limit_db=None):
        self._enhancer, self._limit_db = stillwave.load(model), limit_db
        self._enabled, self._form = True, None

    @property
    def enabled(self):
        return self._enabled

    @enabled.setter
    def enabled(self, value):
        self._enabled = value

    def _process(self, frame):
        form = frame.sample_rate, frame.num_channels
        if form != self._form:
            self._form, self._stream = form, self._enhancer.open(*form, limit_db=self._limit_db)
            self._decoder, self._encoder = PcmDecoder("s16le", form[1]), PcmEncoder("s16le")
        if not self._enabled:
            return frame
        samples = self._stream.process(self._decoder.push(bytes(frame.data.cast("B"))))
        return rtc.AudioFrame(self._encoder.push(samples), *form, frame.samples_per_channel)

    def _close(self):
        self._form = None
