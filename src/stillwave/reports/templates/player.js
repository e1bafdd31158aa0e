// One transport for all versions of an example: they play together, all but one muted, so that switching is immediate
// and keeps the position.
let current = null;

class Player {
  constructor(box) {
    this.box = box;
    this.tracks = [...box.querySelectorAll(".track.playable")];
    this.sounds = this.tracks.map(track => track.querySelector("audio"));
    this.picks = [...box.querySelectorAll(".pick")];
    this.button = box.querySelector(".play");
    this.seeker = box.querySelector(".seek");
    this.time = box.querySelector(".time");
    this.repeat = box.querySelector(".repeat");
    this.chosen = 0;
    box.querySelector(".player").hidden = false;
    this.sounds.forEach((sound, i) => {
      sound.controls = false;
      sound.addEventListener("ended", () => { if (i === this.chosen) this.end(); });
      sound.addEventListener("loadedmetadata", () => this.draw());
      sound.addEventListener("seeked", () => this.draw());
    });
    this.button.addEventListener("click", () => this.toggle());
    this.seeker.addEventListener("input", () => this.seek(this.seeker.value / 1000 * this.duration));
    this.picks.forEach((pick, i) => pick.addEventListener("click", () => this.choose(i)));
    this.tracks.forEach((track, i) => {
      const stage = track.querySelector(".stage");
      stage?.addEventListener("click", event => {
        const place = stage.getBoundingClientRect();
        this.choose(i);
        this.seek(Math.min(Math.max((event.clientX - place.left) / place.width, 0), 0.999) * this.duration);
        this.play();
      });
    });
    this.choose(0);
  }

  get sound() { return this.sounds[this.chosen]; }
  get duration() { return this.sound.duration || 0; }
  get playing() { return !this.sound.paused; }

  play() {
    if (current && current !== this) current.pause();
    current = this;
    const now = this.sound.ended ? 0 : this.sound.currentTime;
    for (const sound of this.sounds) {
      if (Math.abs(sound.currentTime - now) > 0.01) sound.currentTime = now;
      sound.play().catch(() => this.draw());
    }
    this.tick();
  }

  pause() {
    for (const sound of this.sounds) sound.pause();
    this.draw();
  }

  toggle() {
    if (this.playing) this.pause(); else this.play();
  }

  seek(seconds) {
    for (const sound of this.sounds) sound.currentTime = seconds;
    this.draw();
  }

  end() {
    this.pause();
    this.seek(0);
    if (this.repeat.checked) this.play();
  }

  choose(number) {
    const now = this.sound.currentTime;
    this.chosen = number;
    if (Math.abs(this.sound.currentTime - now) > 0.12) this.sound.currentTime = now; // a jump would be audible
    this.sounds.forEach((sound, i) => { sound.muted = i !== number; });
    this.picks.forEach((pick, i) => pick.setAttribute("aria-pressed", i === number));
    this.tracks.forEach((track, i) => track.classList.toggle("on", i === number));
    if (current === null) current = this;
    this.draw();
  }

  tick() {
    this.draw();
    if (this.playing) requestAnimationFrame(() => this.tick());
  }

  draw() {
    const share = this.duration ? this.sound.currentTime / this.duration : 0;
    this.button.textContent = this.playing ? "❚❚" : "▶";
    this.button.setAttribute("aria-label", this.playing ? "Pause" : "Play");
    this.seeker.value = Math.round(1000 * share);
    this.time.textContent = `${this.sound.currentTime.toFixed(1)} of ${this.duration.toFixed(1)} s`;
    for (const line of this.box.querySelectorAll(".stage b")) line.style.left = `${100 * share}%`;
  }
}

document.querySelectorAll(".example").forEach(box => new Player(box));

addEventListener("keydown", event => {
  if (!current || event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.closest?.("input, pre");
  const number = Number(event.key) - 1;
  if (event.key !== " " && current.picks[number]) current.choose(number);
  else if (event.key === " " && !event.target.closest?.("button, input, summary")) {
    event.preventDefault();
    current.toggle();
  } else if ((event.key === "ArrowLeft" || event.key === "ArrowRight") && !typing) {
    const now = current.sound.currentTime + (event.key === "ArrowLeft" ? -1 : 1);
    current.seek(Math.min(Math.max(now, 0), current.duration));
  }
});
