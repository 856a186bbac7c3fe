
// Filters: pairs that do not have what is chosen are hidden. Without this script all are shown.
{
  const choices = [...document.querySelectorAll("select[data-filter]")];
  const pairs = [...document.querySelectorAll("#gallery > li")];
  const count = document.getElementById("shown");
  const apply = () => {
    let shown = 0;
    for (const pair of pairs) {
      const fits = (choice) => !choice.value || (choice.dataset.filter === "reasons"
        ? pair.dataset.reasons.split(" ").includes(choice.value)
        : pair.dataset[choice.dataset.filter] === choice.value);
      pair.hidden = !choices.every(fits);
      if (!pair.hidden) shown += 1;
    }
    count.textContent = shown + " of " + pairs.length + " shown";
  };
  for (const choice of choices) choice.addEventListener("change", apply);
  if (choices.length) {
    choices[0].closest(".filters").hidden = false;
    apply();
  }
}
