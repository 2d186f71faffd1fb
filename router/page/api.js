// The router's JSON and its streams. The token comes with the address, as a fragment, which no browser sends anywhere.

const KEY = "edgewise-token";

/** What the router refuses, with the name of the error and what it says to do. */
export class Refusal extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Nobody answers, or the line broke. */
export class Gone extends Error {}

/** Keeps the token of the address, and takes it out of what the address bar and the history show. */
export function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given === null) return false;
  useToken(given);
  history.replaceState(null, "", location.pathname);
  return true;
}

export const useToken = (token) => sessionStorage.setItem(KEY, token.trim());

export const hasToken = () => Boolean(sessionStorage.getItem(KEY));

export async function getJson(path) {
  return (await request("GET", path)).json();
}

export async function postJson(path, body) {
  return (await request("POST", path, body)).json();
}

/** The events of one answer, as `[name, fields]`. Aborting the signal cancels the answer. */
export async function* ask(question, signal) {
  const response = await request("POST", "/page/ask", question, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let part = await read(reader); !part.done; part = await read(reader)) {
    const blocks = (rest + part.value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) yield parsed(block);
  }
}

const read = (reader) => reader.read().catch(gone);

function gone(error) {
  throw error.name === "AbortError" ? error : new Gone(error.message);
}

function parsed(block) {
  const lines = block.split("\n");
  const field = (name) => lines.find((line) => line.startsWith(`${name}: `)).slice(name.length + 2);
  return [field("event"), JSON.parse(field("data"))];
}

async function request(method, path, body, signal) {
  const token = sessionStorage.getItem(KEY);
  const headers = { ...(token && { authorization: `Bearer ${token}` }), ...(body && { "content-type": "application/json" }) };
  const response = await fetch(path, { method, headers, body: body && JSON.stringify(body), signal, cache: "no-store" }).catch(gone);
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({ error: { code: "Internal", message: `HTTP ${response.status}` } }));
  throw new Refusal(response.status, error.code, error.message);
}
