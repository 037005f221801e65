// Phone numbers, money and times in words. Pure: no DOM, no network, no clock.

const NAIROBI = "Africa/Nairobi";
const money = new Intl.NumberFormat("en-KE", { maximumFractionDigits: 0 });

/** Marks that nobody sees, accents, blanks, dashes, brackets and dots, which people put into numbers. */
const MARKS = /[\p{Cf}\p{Mn}\p{Me}\p{Z}\p{Pd}\p{Ps}\p{Pe}\t-\r\u0085\u2212.\u00b7]/gu;

/** Returns 2547… or 2541… for a Kenyan mobile number as people write it, null for anything else. */
export function msisdnOf(text) {
  const written = text.normalize("NFKC").replace(MARKS, "");
  const found = /^(?:tel:)?(?:(?:\+|000?)?2540?|0?)([17][0-9]{8})$/i.exec(written);
  return found ? `254${found[1]}` : null;
}

/** Returns the five to seven digits of a PayBill or a till as people write them, "" for anything else. */
export function numberOf(text) {
  const written = text.normalize("NFKC").replace(MARKS, "");
  return /^[0-9]{5,7}$/.test(written) ? written : "";
}

/** Returns what the payer typed as account, "" where it is nothing or too long for M-PESA. */
export function accountOf(text) {
  const written = text.trim();
  return written.length <= 20 ? written : "";
}

/** Returns 1500 for "KES 1,500" and the like, 0 for what is no whole number of shillings. */
export function shillingsOf(text) {
  const written = text.normalize("NFKC").replace(/^\s*(?:kes|ksh)[.\s]*|[\s,]|[.]00?\s*$|\/=\s*$/giu, "");
  return /^[0-9]{1,9}$/.test(written) ? Number(written) : 0;
}

/** Returns 0712 345 678 for 254712345678. */
export function spoken(msisdn) {
  return `0${msisdn.slice(3, 6)} ${msisdn.slice(6, 9)} ${msisdn.slice(9)}`;
}

/** Returns KES 1,500 for 1500, which does not break between two lines. */
export function kes(amount) {
  return `KES\u00a0${money.format(amount)}`;
}

/** Returns the hour in Nairobi, like 14:05. */
export function hour(moment) {
  return moment.toLocaleTimeString("en-GB", { timeZone: NAIROBI, hour: "2-digit", minute: "2-digit" });
}

/** Returns the day in Nairobi in that language, like Tuesday 24 November. */
export function day(moment, lang = "en") {
  const shape = { timeZone: NAIROBI, weekday: "long", day: "numeric", month: "long" };
  return moment.toLocaleDateString(lang === "en" ? "en-GB" : lang, shape);
}
