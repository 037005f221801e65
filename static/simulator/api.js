// The simulator's routes, wherever it is mounted.

import { say } from "./words.js";

const base = document.body.dataset.base;

async function call(path, method = "GET", body = undefined) {
  const response = await fetch(base + path, {
    method,
    headers: body ? { "Content-Type": "application/json" } : {},
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(15000),
  });
  const answer = await response.json();
  if (response.ok) return answer;
  const words = say(answer.detail ?? "The simulator did not understand that.");
  throw Object.assign(new Error(words), { code: answer.code });
}

export const lines = () => call("/lines");
export const line = (msisdn) => call(`/lines/${msisdn}`);
export const prompts = () => call("/prompts");
export const pay = (payment) => call("/payments", "POST", payment);
export const rescript = (msisdn, wishes) => call(`/lines/${msisdn}`, "PUT", wishes);
export const organisation = () => call("/organisation");
export const reorganise = (wishes) => call("/organisation", "PUT", wishes);
export const answer = (id, body) => call(`/prompts/${encodeURIComponent(id)}/answer`, "POST", body);
