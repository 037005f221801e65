import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { otherNetwork, understood } from "../../static/checkout/phone_number.js";
import { msisdnOf } from "../../static/simulator/numbers.js";

// The server's reader is tested with the same table: where the two differ, the page promises what is refused.
const CASES = JSON.parse(readFileSync(new URL("../cases/phones.json", import.meta.url)));

function spoken(msisdn) {
  return `0${msisdn.slice(3, 6)} ${msisdn.slice(6, 9)} ${msisdn.slice(9)}`;
}

for (const { typed, read } of CASES) {
  const msisdn = /^[0-9]+$/.test(read) ? read : null;
  test(`the checkout page reads ${JSON.stringify(typed)} as ${msisdn}`, () => {
    assert.equal(understood(typed), msisdn && spoken(msisdn));
  });
  test(`the virtual phone reads ${JSON.stringify(typed)} as ${msisdn}`, () => {
    assert.equal(msisdnOf(typed), msisdn);
  });
}

const NETWORKS = JSON.parse(readFileSync(new URL("../cases/networks.json", import.meta.url)));

for (const { phone, network } of NETWORKS) {
  test(`${JSON.stringify(phone)} looks like ${network ?? "no other network's number"}`, () => {
    assert.equal(otherNetwork(phone), network);
  });
}

for (const [typed, network] of [["+254 733 123 456", "airtel"], ["(0)78 0", "airtel"], ["077", null], ["073", null], ["+255733", null]]) {
  test(`while it is typed, ${JSON.stringify(typed)} looks like ${network ?? "no other network's number"}`, () => {
    assert.equal(otherNetwork(typed), network);
  });
}

test("a browser that knows no categories of characters reads plain numbers, and promises nothing else", async (t) => {
  const Own = globalThis.RegExp;
  t.after(() => (globalThis.RegExp = Own));
  globalThis.RegExp = class extends Own {
    constructor(source, flags) {
      if (source.includes("\\p{")) throw new SyntaxError("Invalid property name");
      super(source, flags);
    }
  };
  const old = await import("../../static/checkout/phone_number.js?old");

  assert.equal(old.understood("+254 (0) 712-345.678"), "0712 345 678");
  for (const { typed, read } of CASES) {
    const number = old.understood(typed);
    assert.ok(number === null || number === spoken(read), JSON.stringify(typed));
  }
});
