/** Tabs by the ARIA pattern: arrow keys move, the address keeps the tab. */

const tabs = [...document.querySelectorAll('[role="tab"]')];

/** Show the panel of a tab. */
export function showTab(tab, focus = false) {
  for (const other of tabs) {
    const chosen = other === tab;
    other.ariaSelected = String(chosen);
    other.tabIndex = chosen ? 0 : -1;
    document.querySelector(`#${other.getAttribute("aria-controls")}`).hidden = !chosen;
  }
  history.replaceState(null, "", tab.dataset.hash);
  if (focus) tab.focus();
}

/** Make the tabs work; the address says which one is shown first. */
export function startTabs() {
  const moves = { ArrowRight: 1, ArrowLeft: -1 };
  tabs.forEach((tab, i) => {
    tab.onclick = () => showTab(tab);
    tab.onkeydown = ({ key }) => {
      if (key in moves) showTab(tabs[(i + moves[key] + tabs.length) % tabs.length], true);
    };
  });
  showTab(tabs.find(({ dataset }) => dataset.hash === location.hash) ?? tabs[0]);
  document.body.addEventListener("files", () => showTab(tabs[0]));
}
