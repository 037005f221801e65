import assert from "node:assert/strict";
import { test } from "node:test";

import { understood } from "../../static/js/phone_format.js";

for (const typed of [
  "0712345678", "712345678", "+254712345678", "254 712 345 678", "0712-345-678", "+254 (0)712 345 678",
  "00254712345678", " 0712 345 678 ",
]) {
  test(`"${typed}" is understood as 0712 345 678`, () => {
    assert.equal(understood(typed), "0712 345 678");
  });
}

test("the newer 01 numbers are understood", () => {
  assert.equal(understood("0110345678"), "0110 345 678");
});

for (const typed of ["", "0712", "07123456789", "0612345678", "+256712345678", "O712345678", "٠٧١٢٣٤٥٦٧٨"]) {
  test(`"${typed}" is no whole Kenyan mobile number`, () => {
    assert.equal(understood(typed), null);
  });
}
