import assert from "node:assert/strict";
import { test } from "node:test";

import { after, begin, linkOf, LOOK_MS, looksAgain, nextPollIn } from "../../static/checkout/link.js";

const MIDDLE = 0.5;
const start = begin(0, true);
const following = (...events) => events.reduce(after, start);

test("a socket has three seconds before polling begins", () => {
  assert.equal(linkOf(start, 2999), "connecting");
  assert.equal(nextPollIn(start, 3, 1000, MIDDLE), 2000);
  assert.equal(linkOf(start, 3000), "polling");
  assert.equal(nextPollIn(start, 3, 3000, MIDDLE), 3000);
});

test("a live page asks seldom", () => {
  assert.equal(linkOf(following("socket-up"), 500), "live");
  assert.equal(nextPollIn(following("socket-up"), 3, 500, MIDDLE), 10_000);
});

test("pages that lost one worker ask anywhere within two pauses", () => {
  const dropped = following("socket-up", "socket-down");
  assert.equal(nextPollIn(dropped, 3, 100, 0), 0);
  assert.equal(nextPollIn(dropped, 3, 100, 0.99), 5940);
});

test("after that first question they ask at the server's pace", () => {
  const asked = following("socket-up", "socket-down", "answer");
  assert.equal(nextPollIn(asked, 3, 100, 0), 2400);
});

test("a socket that never was up has nothing to spread", () => {
  assert.equal(nextPollIn(following("socket-down"), 3, 9000, 0), 2400);
});

test("a dropped socket is replaced by polling without a grace", () => {
  const dropped = following("socket-up", "socket-down");
  assert.equal(linkOf(dropped, 100), "polling");
  assert.equal(nextPollIn(dropped, 3, 100, MIDDLE), 3000);
});

test("polling gives way when the socket is back", () => {
  const back = following("socket-up", "socket-down", "no-answer", "socket-up");
  assert.equal(linkOf(back, 9000), "live");
  assert.equal(nextPollIn(back, 3, 9000, MIDDLE), 10_000);
});

test("without the network the page is offline, even if the socket has not noticed", () => {
  assert.equal(linkOf(following("socket-up", "offline"), 9000), "offline");
});

test("unanswered questions read as a silent server and grow apart", () => {
  const twice = following("no-answer", "no-answer");
  assert.equal(linkOf(twice, 9000), "silent");
  assert.equal(nextPollIn(twice, 3, 9000, MIDDLE), 12_000);
});

test("they grow no further than half a minute", () => {
  const often = following(...Array(9).fill("no-answer"));
  assert.equal(nextPollIn(often, 3, 9000, MIDDLE), 30_000);
});

test("the server's own longer pause is kept", () => {
  assert.equal(nextPollIn(start, 60, 9000, MIDDLE), 60_000);
});

test("an answer ends being offline", () => {
  assert.equal(linkOf(following("offline", "no-answer", "answer"), 9000), "polling");
});

test("chance spreads the questions by a fifth either way", () => {
  assert.equal(nextPollIn(start, 10, 9000, 0), 8000);
  assert.ok(Math.abs(nextPollIn(start, 10, 9000, 0.999) - 12_000) < 10);
});

test("a device without a network is told so, whatever else was missed", () => {
  assert.equal(linkOf(following("no-answer", "offline"), 9000), "offline");
});

test("a code to scan is looked after seldom, and not for ever", () => {
  assert.ok(LOOK_MS >= 10_000);
  assert.equal(looksAgain(29 * 60_000), true);
  assert.equal(looksAgain(31 * 60_000), false);
});
