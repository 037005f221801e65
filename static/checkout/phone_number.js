/* Reads a Kenyan mobile number by the server's own grammar (mpesa/domain/phone.py). The server is the judge of it. */

/** What is no part of a number: invisible marks, accents, blanks, dashes, brackets, dots. */
const BESIDE = "[\\p{Cf}\\p{Mn}\\p{Me}\\p{Zs}\\p{Zl}\\p{Zp}\\p{Pd}\\p{Ps}\\p{Pe}\\t-\\r\\u0085\\u2212.\\u00b7]";
const beside = besides();
const CALLED = /^(?:tel:)?(?:(?:\+|000?)?2540?|0?)([17][0-9]*)$/i;
/** Where another network's numbers begin. Many have moved to Safaricom since, so it is only a hint. */
const NETWORKS = [
  ["airtel", /^(?:73|75[0-6]|76[027]|78|10[0-8]|13[5-9])/],
  ["telkom", /^(?:77|761|120)/],
];

function besides() {
  try {
    return new RegExp(BESIDE, "gu");
  } catch {
    return /[\s().-]/g; // a browser that knows no categories promises less
  }
}

/** The digits that follow 0 or +254, as far as they were typed. */
function lineOf(typed) {
  const written = typed.normalize("NFKC").replace(beside, "");
  return CALLED.exec(written)?.[1] ?? "";
}

/** "+254 712-345678" -> "0712 345 678"; null while it is no whole Kenyan mobile number. */
export function understood(typed) {
  const line = lineOf(typed);
  if (line.length !== 9) return null;
  return `0${line.slice(0, 3)} ${line.slice(3, 6)} ${line.slice(6)}`;
}

/** Whose number it looks like from its beginning, "airtel" or "telkom"; null for Safaricom's and unknown ones. */
export function otherNetwork(typed) {
  const line = lineOf(typed);
  if (line.length < 3) return null;
  return NETWORKS.find(([, begins]) => begins.test(line))?.[0] ?? null;
}
