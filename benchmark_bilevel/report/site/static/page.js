// Links to the pages beside this one, in the bars of wide and of narrow screens.
const addLinks = (links) => {
  for (const home of document.querySelectorAll('nav a[href="index.html"]')) {
    for (const [text, address] of Object.entries(links)) {
      const link = home.cloneNode();
      link.href = address;
      link.textContent = text;
      home.after(link);
    }
  }
};
