const boxes = [...document.querySelectorAll(".trial")];

function results() {
  return KEY.map((trial, i) => {
    const answer = chosen(boxes[i], "answer"), preference = chosen(boxes[i], "preference");
    return { ...trial, answer, correct: answer && answer === trial.x, preferred: preference && (trial[preference] ?? "none") };
  });
}

// The probability of so many correct answers or more by guessing.
function chance(correct, count) {
  let term = 0.5 ** count, sum = 0;
  for (let k = 0; k <= count; k++) {
    if (k >= correct) sum += term;
    term *= (count - k) / (k + 1);
  }
  return Math.min(sum, 1);
}

function summary() {
  const pairs = new Map();
  for (const trial of results()) {
    const systems = [trial.a, trial.b].sort(), name = systems.join(" and ");
    const entry = pairs.get(name) ?? { name, systems, count: 0, correct: 0, preferred: [0, 0, 0] };
    entry.count += 1;
    entry.correct += trial.correct ? 1 : 0;
    entry.preferred[trial.preferred === "none" ? 2 : systems.indexOf(trial.preferred)] += 1;
    pairs.set(name, entry);
  }
  return [...pairs.values()];
}

function cell(row, text, kind = "td") {
  const made = document.createElement(kind);
  made.textContent = text;
  row.append(made);
}

function table() {
  const made = document.createElement("table"), head = made.createTHead().insertRow(), body = made.createTBody();
  for (const text of ["Systems", "Correct", "p of guessing", "Preferred"]) cell(head, text, "th");
  for (const { name, systems, count, correct, preferred } of summary()) {
    const row = body.insertRow();
    cell(row, name);
    cell(row, `${correct} of ${count}`);
    cell(row, chance(correct, count).toFixed(3));
    cell(row, `${systems[0]} ${preferred[0]}, ${systems[1]} ${preferred[1]}, neither ${preferred[2]}`);
  }
  return made;
}

function show() {
  const done = boxes.filter(answered).length, result = document.querySelector(".result");
  boxes.forEach(box => box.classList.toggle("done", answered(box)));
  document.querySelector(".progress").textContent = `${done} of ${boxes.length} comparisons answered`;
  result.hidden = done < boxes.length;
  if (!result.hidden) {
    const scroll = document.createElement("div");
    scroll.className = "scroll";
    scroll.append(table());
    result.replaceChildren(scroll);
  }
}

document.querySelector(".save").addEventListener("click", () => {
  download("answers.json", JSON.stringify({ seed: SEED, saved: new Date().toISOString(), trials: results() }, null, 2), "application/json");
});
show();
