// Answers of a form: kept in the browser until they are saved as a file.
function stored() {
  try { return JSON.parse(localStorage.getItem(STORE)) || {}; } catch { return {}; }
}

function store(answers) {
  try { localStorage.setItem(STORE, JSON.stringify(answers)); } catch { /* private windows have no storage */ }
}

function download(name, text, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

const answers = stored();
const inputs = [...document.querySelectorAll("fieldset input")];
for (const input of inputs) {
  input.checked = answers[input.name] === input.value;
  input.addEventListener("change", () => {
    answers[input.name] = input.value;
    store(answers);
    show();
  });
}

function answered(box) {
  return [...box.querySelectorAll("fieldset")].every(set => set.querySelector(":checked"));
}

function chosen(box, kind) {
  return box.querySelector(`.${kind}:checked`)?.value ?? null;
}

document.querySelector(".reset").addEventListener("click", () => {
  for (const input of inputs) { input.checked = false; delete answers[input.name]; }
  store(answers);
  show();
});
