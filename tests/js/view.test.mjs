import assert from "node:assert/strict";
import { test } from "node:test";

import {
  asClock, isOpenEnded, isResult, isSettledOrder, mayRest, newest, promptIsOpen, promptLate, retryWait, returnAddress,
  secondsLeft, spokenOf, turnsToAnother,
} from "../../static/checkout/view.js";

const pending = {
  transaction_id: "t1", order_status: "OPEN", status: "PENDING", reason: "awaiting_pin", final: false,
  can_retry: false, retry_after: null, created_at: "2026-11-24T09:00:00Z", seq: 2,
};
const begun = Date.parse(pending.created_at);
const with_ = (changes) => ({ ...pending, ...changes });

test("an older snapshot of the same transaction is dropped", () => {
  const shown = with_({ seq: 5 });
  assert.equal(newest(shown, with_({ seq: 4 })), shown);
});

test("a snapshot with the same seq replaces, since can_retry may have changed", () => {
  const incoming = with_({ can_retry: true });
  assert.equal(newest(pending, incoming), incoming);
});

test("another transaction replaces whatever its seq is", () => {
  const incoming = with_({ transaction_id: "t2", seq: 1 });
  assert.equal(newest(with_({ seq: 9 }), incoming), incoming);
});

test("the first snapshot is taken", () => {
  assert.equal(newest(null, pending), pending);
});

test("a payment without its receipt is still listened for", () => {
  const paid = with_({ status: "SUCCESS", reason: "paid", order_status: "PAID", final: false });
  assert.equal(isOpenEnded(paid), true);
  assert.equal(isOpenEnded({ ...paid, final: true }), false);
});

test("only a result takes the focus", () => {
  assert.deepEqual(["phone", "waiting", "checking", "paid", "failed", "closed"].filter(isResult),
    ["paid", "failed", "closed"]);
});

test("a failed attempt leaves the order to be chosen for", () => {
  assert.equal(isSettledOrder(with_({ view: "failed" })), false);
  assert.equal(isSettledOrder(with_({ view: "paid" })), true);
  assert.equal(isSettledOrder(with_({ view: "closed" })), true);
});

test("the countdown starts full, runs down and stops at nought", () => {
  const at = (seconds) => secondsLeft(pending, 60, begun + seconds * 1000);
  assert.deepEqual([at(0), at(14.5), at(60), at(3600)], [60, 46, 0, 0]);
});

test("a prompt is late after twenty seconds", () => {
  assert.deepEqual([0, 19, 20, 90].map((seconds) => promptLate(pending, begun + seconds * 1000)), [false, false, true, true]);
});

test("a clock that is behind never shows more than the whole wait", () => {
  assert.equal(secondsLeft(pending, 60, begun - 500_000), 60);
});

test("the wait before a retry counts from when it was heard", () => {
  const failed = with_({ status: "FAILED", can_retry: true, retry_after: 45 });
  assert.equal(retryWait(failed, 1000, 11_000), 35);
  assert.equal(retryWait(failed, 1000, 99_000), 0);
});

test("there is nothing to wait for where no retry is allowed or no wait is set", () => {
  assert.equal(retryWait(with_({ can_retry: false, retry_after: 45 }), 0, 0), 0);
  assert.equal(retryWait(with_({ can_retry: true, retry_after: null }), 0, 0), 0);
});

test("seconds read as a clock", () => {
  assert.deepEqual([0, 9, 65, 600].map(asClock), ["0:00", "0:09", "1:05", "10:00"]);
});

test("the merchant's address gets the status of now and keeps the rest", () => {
  const address = returnAddress("https://shop.example/done?a=1&order_id=o1&status=OPEN", "PAID");
  assert.equal(address, "https://shop.example/done?a=1&order_id=o1&status=PAID");
});

test("a hidden page rests once there is a result, and no sooner", () => {
  assert.equal(mayRest(pending, true), false);
  assert.equal(mayRest(with_({ status: "FAILED", reason: "cancelled" }), true), true);
  assert.equal(mayRest(with_({ status: "FAILED", reason: "cancelled" }), false), false);
});

test("the countdown is spoken at half a minute and at nought, once each", () => {
  const spoken = [];
  for (let left = 60; left >= 0; left -= 1) spoken.push(spokenOf(left + 1, left));
  assert.deepEqual(spoken.filter(Boolean), ["spoken-left", "still-checking"]);
  assert.equal(spoken.indexOf("spoken-left"), 30);
});

test("a countdown that was asleep speaks of what is left now", () => {
  assert.equal(spokenOf(41, 22), "spoken-left");
  assert.equal(spokenOf(0, 0), null);
});

test("a push that stood beside paying by hand is left once it failed, or the money came otherwise", () => {
  const beside = with_({ view: "waiting", next: "cancel_prompt", settled_by: null });
  const failed = with_({ view: "failed", next: "retry", settled_by: null });
  const paidByHand = with_({ view: "paid", next: "cancel_prompt", settled_by: "t2" });
  assert.equal(turnsToAnother(beside, failed), true);
  assert.equal(turnsToAnother(beside, paidByHand), true);
  assert.equal(turnsToAnother({ ...beside, view: "checking" }, failed), true);
});

test("a transaction by hand is left once a push has its money", () => {
  const byHand = with_({ channel: "hand", view: "checking", next: "wait", settled_by: null });
  const paid = with_({ channel: "hand", view: "paid", next: "none", settled_by: "t2" });
  assert.equal(turnsToAnother(byHand, paid), true);
  assert.equal(turnsToAnother(paid, paid), false);
  assert.equal(turnsToAnother(byHand, { ...paid, settled_by: "t1" }), false);
});

test("it is not left while it waits, where it paid itself, or where nobody pays by hand", () => {
  const beside = with_({ view: "waiting", next: "cancel_prompt", settled_by: null });
  const failed = with_({ view: "failed", next: "retry", settled_by: null });
  const paidItself = with_({ view: "paid", next: "none", settled_by: "t1" });
  assert.equal(turnsToAnother(beside, beside), false);
  assert.equal(turnsToAnother(beside, paidItself), false);
  assert.equal(turnsToAnother({ ...beside, next: "enter_pin" }, failed), false);
  assert.equal(turnsToAnother({ ...beside, view: "paid" }, with_({ view: "paid", settled_by: "t2" })), false);
  assert.equal(turnsToAnother(null, failed), false);
});

test("leaving is asked about while a prompt is open, and no longer", () => {
  const open = with_({ view: "waiting", channel: "push", can_retry: false });
  assert.equal(promptIsOpen(open), true);
  assert.equal(promptIsOpen({ ...open, view: "checking" }), true);
  assert.equal(promptIsOpen({ ...open, view: "checking", can_retry: true }), false);
  assert.equal(promptIsOpen({ ...open, view: "checking", channel: "hand" }), false);
  for (const view of ["phone", "by_hand", "paid", "failed", "closed"]) {
    assert.equal(promptIsOpen({ ...open, view }), false, view);
  }
});
