/* Turns one piece of the page into what the server says now, and leaves alone what did not change. */

/** What a person did to the page: it stays, whatever the server's copy says. */
const OWN = { DETAILS: ["open"], BUTTON: ["hidden"], INPUT: ["value", "checked"], OPTION: ["selected"], DIALOG: ["open"] };

/** Returns whether anything that can be seen changed; new elements with an id get the class `fresh`. */
export function morph(from, to) {
  if (from.isEqualNode(to) || isKept(from)) return false;
  if (from.nodeType !== Node.ELEMENT_NODE) {
    from.nodeValue = to.nodeValue;
    return true;
  }
  const seen = !(from.nodeName === "INPUT" && from.type === "hidden");
  const attributes = sync(from, to, seen ? (OWN[from.nodeName] ?? []) : []);
  // Both run: neither may stop the other.
  const children = morphChildren(from, to);
  return seen && (attributes || children);
}

/** What was shown for once stays while the page is open; the server's copy has it masked again. */
function isKept(node) {
  return node.nodeType === Node.ELEMENT_NODE && "kept" in node.dataset;
}

function sync(from, to, own) {
  let changed = false;
  for (const { name } of [...from.attributes]) {
    if (to.hasAttribute(name) || own.includes(name)) continue;
    from.removeAttribute(name);
    changed = true;
  }
  for (const { name, value } of to.attributes) {
    if (own.includes(name) || from.getAttribute(name) === value) continue;
    from.setAttribute(name, value);
    changed = true;
  }
  return changed;
}

function morphChildren(from, to) {
  const wantedIds = new Set([...to.children].map((each) => each.id).filter(Boolean));
  const known = new Map();
  let changed = false;
  for (const child of [...from.children]) {
    if (!child.id) continue;
    if (wantedIds.has(child.id)) known.set(child.id, child);
    else {
      child.remove();
      changed = true;
    }
  }
  let at = from.firstChild;
  for (const wanted of [...to.childNodes]) {
    const match = wanted.id ? known.get(wanted.id) : isSame(at, wanted) ? at : null;
    // What stands before a match is taken away, so that the match, which may be in use, stays put.
    while (match && at !== match && at && !at.id) at = removed(at);
    if (!match) {
      const added = document.importNode(wanted, true);
      if (added.id) added.classList.add("fresh");
      from.insertBefore(added, at);
      changed ||= isSeen(wanted);
      continue;
    }
    if (match === at) at = at.nextSibling;
    else from.insertBefore(match, at);
    if (morph(match, wanted)) changed = true;
  }
  while (at) {
    changed ||= isSeen(at);
    at = removed(at);
  }
  return changed;
}

function isSame(a, b) {
  return a !== null && a.nodeName === b.nodeName && !a.id;
}

function isSeen(node) {
  return node.nodeType === Node.ELEMENT_NODE || node.nodeValue.trim() !== "";
}

function removed(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}
