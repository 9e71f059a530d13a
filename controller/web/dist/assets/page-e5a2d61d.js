"use strict";
const say = (text) => { document.getElementById("state").textContent = text; };
fetch("/api/v1/pairs?limit=100000")
  .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(`HTTP ${answer.status}`))))
  .then((o) => say(`Generation ${o.generation}: ${o.pairs.length} pairs, ${o.pairs.filter((p) => p.state === "ok").length} of them ok.`))
  .catch((e) => say(`The controller does not answer: ${e.message}`));
