// Each block of code can be copied by a button, where the browser allows it.
for (const block of navigator.clipboard ? document.querySelectorAll("pre:not(.formula)") : []) {
  const box = document.createElement("div");
  box.className = "copied";
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.ariaLive = "polite";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(block.textContent);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
  block.replaceWith(box);
  box.append(block, button);
}
