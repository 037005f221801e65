// The SMS on the phone, newest first.

import { hour } from "./numbers.js";

const list = document.querySelector("[data-messages]");
const empty = document.querySelector("[data-empty]");

/** Draws the messages of a line; returns those that were not on the screen before. */
export function drawMessages(messages) {
  const known = new Set([...list.children].map((item) => Number(item.dataset.number)));
  const wanted = new Set(messages.map((message) => message.number));
  [...list.children].forEach((item) => wanted.has(Number(item.dataset.number)) || item.remove());
  const fresh = messages.filter((message) => !known.has(message.number));
  list.prepend(...fresh.map(asItem).reverse());
  list.hidden = messages.length === 0;
  empty.hidden = messages.length > 0;
  return fresh;
}

function asItem({ number, text, is_receipt: isReceipt, received_at: receivedAt }) {
  const item = document.createElement("li");
  item.dataset.number = number;
  item.className = isReceipt ? "sms" : "sms failed";
  const head = document.createElement("p");
  head.className = "sms-head";
  const sender = document.createElement("strong");
  sender.textContent = "M-PESA";
  const time = document.createElement("time");
  time.dateTime = receivedAt;
  time.textContent = hour(new Date(receivedAt));
  head.append(sender, time);
  const body = document.createElement("p");
  body.textContent = text;
  item.append(head, body);
  return item;
}
