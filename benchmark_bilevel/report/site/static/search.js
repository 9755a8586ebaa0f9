// Searches the texts of all pages; they are loaded when somebody begins to type.
{
  const MOST = 12;
  const box = document.querySelector("[role=search]");
  const [input, found] = [box.querySelector("input"), box.querySelector(".found")];

  let texts = null;
  const load = () => {
    texts ??= new Promise((resolve) => {
      const script = document.createElement("script");
      script.src = "data/texts.js";
      script.addEventListener("load", () => resolve(window.searchTexts));
      document.head.append(script);
    });
    return texts;
  };

  // Titles count more than texts, and beginnings of words more than the rest of them.
  const score = ({title, text}, words) => {
    let sum = 0;
    for (const word of words) {
      const [inTitle, inText] = [title, text].map((whole) => whole.toLowerCase().indexOf(word));
      if (inTitle < 0 && inText < 0) return 0;
      if (inTitle >= 0) sum += /\w/.test(title[inTitle - 1] ?? " ") ? 5 : 10;
      if (inText >= 0) sum += 1;
    }
    return sum;
  };

  const line = ({title, page, address}) => {
    const link = document.createElement("a");
    link.href = address;
    link.textContent = title === page ? title : `${title} – ${page}`;
    return link;
  };

  const search = async () => {
    const words = input.value.toLowerCase().split(/\s+/).filter((word) => word);
    const scored = (await load()).map((part) => [score(part, words), part]);
    const best = scored.filter(([points]) => points).sort((a, b) => b[0] - a[0]).slice(0, MOST);
    found.hidden = !words.length;
    found.replaceChildren(...best.map(([, part]) => line(part)));
    if (!best.length) found.textContent = "Nothing found.";
  };

  input.addEventListener("focus", load);
  input.addEventListener("input", search);
  box.addEventListener("focusout", ({relatedTarget}) => {
    if (relatedTarget && !box.contains(relatedTarget)) found.hidden = true;
  });
  box.addEventListener("keydown", (event) => {
    const {key} = event;
    if (key === "ArrowDown" || key === "ArrowUp") event.preventDefault();
    const links = found.hidden ? [] : [...found.querySelectorAll("a")];
    const at = links.indexOf(document.activeElement);
    if (key === "ArrowDown") links[Math.min(at + 1, links.length - 1)]?.focus();
    if (key === "ArrowUp") (links[at - 1] ?? input).focus();
    if (key === "Enter" && document.activeElement === input) links[0]?.click();
    if (key === "Escape") {
      found.hidden = true;
      input.focus();
    }
  });
  document.addEventListener("click", ({target}) => {
    if (!box.contains(target)) found.hidden = true;
  });
}
