/** Say something to screen readers. */

export function announce(text) {
  const region = document.querySelector("#announcements");
  region.textContent = "";
  setTimeout(() => (region.textContent = text), 50);
}
