import assert from "node:assert/strict";
import { test } from "node:test";

import { accountOf, numberOf, shillingsOf } from "../../static/simulator/numbers.js";

test("a business number is five to seven digits, however they are spaced", () => {
  assert.equal(numberOf(" 174 379 "), "174379");
  assert.equal(numberOf("5174380"), "5174380");
  for (const wrong of ["", "1743", "51743801", "PayBill"]) assert.equal(numberOf(wrong), "");
});

test("an account goes out as it was typed, without the blanks around it", () => {
  assert.equal(accountOf(" 234 567 890 "), "234 567 890");
  assert.equal(accountOf("a".repeat(20)), "a".repeat(20));
  assert.equal(accountOf("a".repeat(21)), "");
});

test("an amount is whole shillings, as people write them", () => {
  for (const written of ["1500", "1,500", "KES 1 500", "Ksh.1500.00", "1500/="]) {
    assert.equal(shillingsOf(written), 1500);
  }
  for (const wrong of ["", "0", "-5", "1.5", ".5", "x", "1.500"]) assert.equal(shillingsOf(wrong), 0);
});
