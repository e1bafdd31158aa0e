/** Keys of the whole page: space plays, B switches between before and after. */

/** @param {import("./files.js").FileList} files */
export function startKeys(files) {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("button, input, select, summary, a")) {
      if (event.key !== "b" || event.target.matches("select")) return;
    }
    const view = target(files, event.target);
    if (!view) return;
    if (event.key === " ") view.toggle();
    else if (event.key.toLowerCase() === "b") view.hear(view.player.heard === "before" ? "after" : "before");
    else return;
    event.preventDefault();
  });
}

/** Return the card that has the focus, plays, or is the first that is open. */
function target(files, focused) {
  const ready = files.views.filter(({ player }) => player);
  return (
    ready.find(({ element }) => element.contains(focused)) ??
    ready.find(({ player }) => player.playing) ??
    ready.find(({ element }) => !element.classList.contains("closed"))
  );
}
