// One clock for all versions of an example: switching keeps the moment, so that only the system changes.
let playing = null;

function play(track, seconds) {
  const audio = track.querySelector("audio");
  for (const other of document.querySelectorAll("audio")) if (other !== audio) other.pause();
  if (seconds !== undefined) audio.currentTime = seconds;
  audio.play();
}

for (const track of document.querySelectorAll(".track")) {
  const audio = track.querySelector("audio");
  if (!audio) continue;
  const stage = track.querySelector(".stage"), line = stage.querySelector("b");
  const left = PLOT.left, right = PLOT.right;
  const draw = () => {
    line.style.left = 100 * (left + (right - left) * audio.currentTime / (audio.duration || 1)) + "%";
    if (!audio.paused) requestAnimationFrame(draw);
  };
  stage.addEventListener("click", event => {
    const box = stage.getBoundingClientRect();
    const share = ((event.clientX - box.left) / box.width - left) / (right - left);
    play(track, Math.min(Math.max(share, 0), 0.999) * (audio.duration || 0));
  });
  track.querySelector(".switch").addEventListener("click", () => {
    const same = playing && playing.closest(".example") === track.closest(".example");
    play(track, same ? playing.querySelector("audio").currentTime : undefined);
  });
  audio.addEventListener("play", () => {
    if (playing) playing.classList.remove("on");
    for (const other of document.querySelectorAll("audio")) if (other !== audio) other.pause();
    playing = track;
    track.classList.add("on");
    draw();
  });
  audio.addEventListener("seeked", draw);
}

addEventListener("keydown", event => {
  if (!playing || event.ctrlKey || event.metaKey || event.altKey) return;
  const tracks = [...playing.closest(".example").querySelectorAll(".track")].filter(t => t.querySelector("audio"));
  const audio = playing.querySelector("audio"), next = tracks[Number(event.key) - 1];
  if (next) play(next, audio.currentTime);
  else if (event.key === " " && event.target === document.body) {
    event.preventDefault();
    if (audio.paused) audio.play(); else audio.pause();
  }
});
