"use strict";
// Search: rows whose text lacks a word of the question are hidden. Without this script the table is shown whole.
const question = document.getElementById("search");
if (question) {
  const rows = [...document.querySelectorAll("#clip-table tbody tr")];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const count = document.getElementById("found");
  const filter = () => {
    const words = question.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, index) => {
      row.hidden = !words.every((word) => texts[index].includes(word));
      if (!row.hidden) shown += 1;
    });
    count.textContent = shown + " of " + rows.length + " clips";
  };
  question.closest(".search").hidden = false;
  question.addEventListener("input", filter);
  filter();
}
// A line over the drawings of a clip says where its player is.
for (const figure of document.querySelectorAll("figure[data-seconds]")) {
  const player = figure.querySelector("video, audio");
  const line = figure.querySelector(".playhead");
  const move = () => {
    line.style.left = Math.min(100, (100 * player.currentTime) / figure.dataset.seconds) + "%";
    if (!player.paused) requestAnimationFrame(move);
  };
  if (player && line) for (const event of ["play", "timeupdate", "seeked"]) player.addEventListener(event, move);
}
