// Finding and making elements. Text becomes text: nothing here, or anywhere, reads markup.

/** The element of that name, which is part of the page. */
export function find(id) {
  return document.getElementById(id);
}

/** A new element with properties, a class among them, and children: elements or text. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  Object.assign(element, properties);
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** One of the page's icons. */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** Sets text only where it is another, so that what is selected stays selected. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
