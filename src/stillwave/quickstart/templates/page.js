// Pages from disk may not use the clipboard; selecting the text always works.
function copy(text, line) {
  if (navigator.clipboard && isSecureContext) return navigator.clipboard.writeText(text);
  getSelection().selectAllChildren(line);
  return document.execCommand("copy") ? Promise.resolve() : Promise.reject();
}

for (const button of document.querySelectorAll(".copy")) {
  button.addEventListener("click", () => {
    const line = button.parentElement.querySelector("code");
    copy(line.textContent, line).then(() => "Copied", () => {
      getSelection().selectAllChildren(line);
      return "Selected";
    }).then(word => {
      button.textContent = word;
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  });
}
