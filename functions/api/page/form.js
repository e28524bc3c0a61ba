// What was chosen in the form, as the API takes it, and what is wrong in it, said at the field. A control's name is the
// option's path, such as `margin.top`; what stands at its default is not sent.

/** Every option's controls by name. */
function options(form) {
  const found = new Map();
  for (const control of form.elements) {
    if (!control.name || control.name === "url" || control.type === "hidden") continue;
    found.set(control.name, [...(found.get(control.name) ?? []), control]);
  }
  return found;
}

/** What the controls of one option say, as JSON has it; `initial`: what they said before anyone touched them. */
function valueOf(controls, initial) {
  const [first] = controls;
  const chosen = controls.filter((control) => (initial ? control.defaultChecked : control.checked));
  if (first.type === "radio") return chosen[0].value === "true";
  if (first.type === "checkbox") return controls.length > 1 ? chosen.map((control) => control.value) : chosen.length > 0;
  if (first.options) return initial ? [...first.options].find((option) => option.defaultSelected).value : first.value;
  const text = initial ? first.defaultValue : first.value;
  if (first.type === "number") return Number(text || first.defaultValue);
  return "lines" in first.dataset ? lines(text) : text.trim();
}

/** The options that differ from their defaults. */
export function readOptions(form) {
  const read = {};
  for (const [name, controls] of options(form)) {
    const value = valueOf(controls);
    if (String(value) === String(valueOf(controls, true))) continue;
    const [outer, inner] = name.split(".");
    if (!inner) {
      read[outer] = value;
      continue;
    }
    const all = read[outer]; // a length for the whole margin; one for a side goes before it
    if (typeof all === "string") read[outer] = { top: all, right: all, bottom: all, left: all };
    (read[outer] ??= {})[inner] = value;
  }
  return read;
}

/** The addresses, each once; one without a scheme is taken for https. */
export function readUrls(form) {
  const whole = lines(form.elements.url.value).map((line) => (/^[a-z][a-z0-9+.-]*:\/\//i.test(line) ? line : `https://${line}`));
  return [...new Set(whole)];
}

function lines(text) {
  return text.split("\n").map((line) => line.trim()).filter(Boolean);
}

/** What the form calls an option: a group of boxes by its legend, all else by its label. */
export function nameOf([first, second]) {
  const named = second ? first.closest("fieldset").querySelector("legend") : first.labels[0];
  return `“${(named.firstChild.textContent.trim() || named.textContent.trim()).replace(/:.*/, "")}”`;
}

/** A sentence of the API's, with its options called as the form calls them. */
export function inOurWords(form, text) {
  const known = options(form);
  return String(text).replace(/\b[a-z]+(_[a-z]+)+\b/g, (name) => (known.has(name) ? nameOf(known.get(name)) : name));
}

/** Takes back what was said of wrong fields. */
export function clearErrors(form) {
  for (const said of form.querySelectorAll(".error")) said.remove();
  for (const control of form.querySelectorAll("[aria-invalid]")) {
    control.removeAttribute("aria-invalid");
    control.setAttribute("aria-describedby", (control.getAttribute("aria-describedby") ?? "").replace(/ ?error-\S+/, ""));
  }
}

/** The controls of what the API's field names, or none. */
export function controlsOf(form, field) {
  if (field === "url") return [form.elements.url];
  const known = options(form);
  let name = field.replace(/^options\./, "");
  while (name && !known.has(name)) name = name.replace(/\.?[^.]*$/, "");
  return known.get(name) ?? [];
}

/** Says what is wrong at a control, and goes there. */
export function showError(control, text) {
  const said = document.createElement("p");
  said.className = "error";
  said.id = `error-${control.name || control.id}`;
  said.textContent = text;
  const several = control.type === "radio" || control.type === "checkbox";
  if (several) control.closest("fieldset").append(said);
  else control.closest("label").after(said); // in the label it would be part of the control's name
  control.setAttribute("aria-invalid", "true");
  control.setAttribute("aria-describedby", `${control.getAttribute("aria-describedby") ?? ""} ${said.id}`);
  const folded = control.closest("details");
  if (folded) folded.open = true;
  control.focus();
}
