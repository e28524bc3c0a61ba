// Reads the form into the API's terms, and shows errors at the fields. A control's name is the path of its option, such
// as `margin.top`. Options with their default values are not sent.

/** Returns the controls of every option by name. */
function options(form) {
  const found = new Map();
  for (const control of form.elements) {
    if (!control.name || control.name === "url" || control.type === "hidden") continue;
    found.set(control.name, [...(found.get(control.name) ?? []), control]);
  }
  return found;
}

/** Returns the value of one option's controls for JSON; with `initial` the value that the page started with. */
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

/** Returns the options that differ from their defaults. */
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
    const all = read[outer]; // one length for all margins; that of a single side takes precedence
    if (typeof all === "string") read[outer] = { top: all, right: all, bottom: all, left: all };
    (read[outer] ??= {})[inner] = value;
  }
  return read;
}

/** Returns the addresses without duplicates; adds https:// to those without a scheme. */
export function readUrls(form) {
  const whole = lines(form.elements.url.value).map((line) => (/^[a-z][a-z0-9+.-]*:\/\//i.test(line) ? line : `https://${line}`));
  return [...new Set(whole)];
}

function lines(text) {
  return text.split("\n").map((line) => line.trim()).filter(Boolean);
}

/** Returns the form's name for an option: the legend of a group of boxes, else the label. */
export function nameOf([first, second]) {
  const named = second ? first.closest("fieldset").querySelector("legend") : first.labels[0];
  return `“${(named.firstChild.textContent.trim() || named.textContent.trim()).replace(/:.*/, "")}”`;
}

/** Returns a sentence of the API with the form's names for options. */
export function inOurWords(form, text) {
  const known = options(form);
  return String(text).replace(/\b[a-z]+(_[a-z]+)+\b/g, (name) => (known.has(name) ? nameOf(known.get(name)) : name));
}

/** Removes the errors at all fields. */
export function clearErrors(form) {
  for (const error of form.querySelectorAll(".error")) error.remove();
  for (const control of form.querySelectorAll("[aria-invalid]")) {
    control.removeAttribute("aria-invalid");
    control.setAttribute("aria-describedby", (control.getAttribute("aria-describedby") ?? "").replace(/ ?error-\S+/, ""));
  }
}

/** Returns the controls of the field that a problem names, or none. */
export function controlsOf(form, field) {
  if (field === "url") return [form.elements.url];
  const known = options(form);
  let name = field.replace(/^options\./, "");
  while (name && !known.has(name)) name = name.replace(/\.?[^.]*$/, "");
  return known.get(name) ?? [];
}

/** Shows an error at a control, and moves the focus there. */
export function showError(control, text) {
  const error = document.createElement("p");
  error.className = "error";
  error.id = `error-${control.name || control.id}`;
  error.textContent = text;
  const several = control.type === "radio" || control.type === "checkbox";
  if (several) control.closest("fieldset").append(error);
  else control.closest("label").after(error); // inside the label it would be part of the control's name
  control.setAttribute("aria-invalid", "true");
  control.setAttribute("aria-describedby", `${control.getAttribute("aria-describedby") ?? ""} ${error.id}`);
  const folded = control.closest("details");
  if (folded) folded.open = true;
  control.focus();
}
