/* Elements of the report: created here, so that text is never parsed as HTML. */

/** Create an element with attributes and children; strings become text nodes. */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function svg(name, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** Replace the controls in a box; the focus moves to the new control of the same name. */
function keepFocus(box, controls) {
  const name = box.contains(document.activeElement) ? document.activeElement.dataset.control : null;
  box.replaceChildren(...controls);
  if (name) box.querySelector(`[data-control="${CSS.escape(name)}"]`)?.focus();
}

/** A patch for the legend, with the hatch pattern of the cells. */
function swatch(kind, {face, line}) {
  const strokes = {diverged: ["M0 0L22 14", "M0 14L22 0", "M0 7L11 14", "M11 0L22 7", "M0 7L11 0", "M11 14L22 7"], cut: ["M0 0L14 14", "M8 0L22 14", "M0 8L6 14", "M16 0L22 6"], not_run: ["M0 4H22", "M0 10H22"]}[kind];
  return svg("svg", {width: 22, height: 14, class: "swatch", "aria-hidden": "true", style: `background:${face}`}, svg("path", {d: strokes.join(""), stroke: line, "stroke-width": 1.2}));
}

/** Copy a command, or select it if the browser does not allow writing to the clipboard. */
async function copied(code, button) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(code);
    button.textContent = "Selected";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
