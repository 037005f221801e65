// The page's words in its language. The English text is the key, so that one without a translation
// can be read all the same.

const words = JSON.parse(document.body.dataset.words);

/** Returns the text in the page's language, with each {name} in it replaced by its value. */
export function say(text, values = {}) {
  return (words[text] ?? text).replace(/\{(\w+)\}/g, (_, name) => values[name]);
}
