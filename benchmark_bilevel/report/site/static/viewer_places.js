// Each `.viewer` names a file of curves, which is loaded when it comes into sight. What it
// shows is in the address behind the #, so that a link leads there.
{
  const viewers = new Map();

  const load = (place) => {
    if (!viewers.has(place)) {
      viewers.set(place, new Promise((resolve) => {
        const script = document.createElement("script");
        script.src = place.dataset.curves;
        script.addEventListener("load", () => (
          resolve(new Viewer(place, window.curves[place.dataset.name]))
        ));
        document.head.append(script);
      }));
    }
    return viewers.get(place);
  };

  const places = [...document.querySelectorAll(".viewer")];
  const follow = async () => {
    const wanted = new URLSearchParams(location.hash.slice(1));
    const place = places.find(({dataset}) => dataset.name === wanted.get("curves"));
    if (!place) return;
    (await load(place)).set(wanted);
    place.scrollIntoView();
  };

  const watch = new IntersectionObserver((entries) => {
    for (const {target} of entries.filter(({isIntersecting}) => isIntersecting)) {
      watch.unobserve(target);
      load(target);
    }
  }, {rootMargin: "300px"});
  places.forEach((place) => watch.observe(place));
  window.addEventListener("hashchange", follow);
  follow();
}
