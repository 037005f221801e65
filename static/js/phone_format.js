/* Shows a Kenyan mobile number as it was understood. The server is the judge of it. */

const PREFIX = /^(?:00254|254|0)+/;

/** "+254 712-345678" -> "0712 345 678"; null while it is no whole Kenyan mobile number. */
export function understood(typed) {
  if (/[^0-9+\s().-]/.test(typed)) return null;
  const digits = typed.replace(/[^0-9]/g, "").replace(PREFIX, "");
  if (!/^[17][0-9]{8}$/.test(digits)) return null;
  return `0${digits.slice(0, 3)} ${digits.slice(3, 6)} ${digits.slice(6)}`;
}
