// Requests to Rejoin's own API. They return the response, or throw a `Problem`.

import { sharedBy } from "./route.js";

/** A request that was refused, or that did not reach the server (`status` 0). */
class Problem extends Error {
  constructor(status, code, detail, isRetryable) {
    super(detail);
    Object.assign(this, { status, code, isRetryable });
  }
}

/** The server's clock minus this machine's, in milliseconds. */
let ahead = 0;

/** The current time by the server's clock. */
export function now() {
  return Date.now() + ahead;
}

/** The address of a path of the API, wherever a proxy has the server. */
export function at(path) {
  return new URL(`..${path}`, import.meta.url).href;
}

/** Sends a request and waits for the response's headers; throws a `Problem` unless it succeeded. */
async function ask(method, path, { body, headers, signal, keepalive } = {}) {
  let response;
  try {
    response = await fetch(at(path), {
      method,
      body,
      signal,
      headers: sharedBy ? { ...headers, authorization: `Bearer ${sharedBy}` } : headers,
      keepalive,
      cache: "no-store",
      credentials: "same-origin",
      redirect: "error",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "unreachable", "The server cannot be reached.", true);
  }
  const said = Date.parse(response.headers.get("date") ?? "");
  // The header has whole seconds only.
  if (Math.abs(said - Date.now()) > 2_000) ahead = said - Date.now();
  if (!response.ok) throw await problem(response);
  return response;
}

async function json(method, path, body) {
  const headers = body === undefined ? {} : { "content-type": "application/json" };
  const text = body === undefined ? undefined : JSON.stringify(body);
  const response = await ask(method, path, { body: text, headers });
  return response.status === 204 ? null : response.json();
}

async function problem(response) {
  const problem = await response.json().catch(() => ({}));
  const detail = problem.detail ?? `The server answered ${response.status}.`;
  return new Problem(response.status, problem.code ?? "unknown", detail, problem.retryable === true);
}

const session = (id) => `/sessions/${encodeURIComponent(id)}`;

/** A page of sessions: `{sessions, next}`, those below the number `before` that match a query. */
export const listSessions = ({ limit, state, query, before }) =>
  json("GET", `/sessions?${parameters({ limit, state, q: query, before })}`);

/** Changes a session's title and labels: `{title, labels}`; what is null is removed. */
export const describeSession = (id, change) => json("PATCH", session(id), change);

/** Lines of a session's output: `{matches, after, more}`. */
export const searchOutput = (id, text, options) =>
  json("GET", `${session(id)}/search?${parameters({ q: text, ...options })}`);

function parameters(named) {
  const given = Object.entries(named).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return new URLSearchParams(given);
}

/** The path of a session's records: JSON lines, or a recording (`asciicast-v2`). */
export const recordsPath = (id, format = "jsonl") => `${session(id)}/records?${parameters({ format })}`;

/** What is at a path of the API, as a blob. Sends the secret of a link, which an address has no place for. */
export const download = async (path) => (await ask("GET", path)).blob();

export const createSession = (service) => json("POST", "/sessions", service ? { service } : {});
export const listServices = () => json("GET", "/services");
export const showSession = (id) => json("GET", session(id));
export const closeSession = (id) => json("DELETE", session(id));
export const deleteSession = (id) => json("DELETE", `${session(id)}/records`);
export const interrupt = (id, job) =>
  json("POST", job ? `${session(id)}/jobs/${job}/interrupt` : `${session(id)}/interrupt`);
/** Who watches a session: `{count, viewers}`. */
export const showViewers = (id) => json("GET", `${session(id)}/viewers`);
/** Links to a session: `{links}`, each `{link, account, created, expires}`. */
export const listLinks = (id) => json("GET", `${session(id)}/links`);
/** Makes a link that lasts so long, as `8h`: `{link, secret, path, expires, …}`. */
export const addLink = (id, expires) => json("POST", `${session(id)}/links`, { expires });
export const removeLink = (id, link) => json("DELETE", `${session(id)}/links/${encodeURIComponent(link)}`);
export const readEvents = (id, after, limit) =>
  json("GET", `${session(id)}/events?after=${after}&limit=${limit}`);

/**
 * Submits a command. Sending the same `request` again returns the same job. `options` are members of
 * the body: `background`, and for a terminal `{terminal: {columns, rows}, client}`.
 */
export const submit = (id, statement, request, options) =>
  json("POST", `${session(id)}/jobs`, { statement, request, ...options });

/** Writes to a job's standard input, or closes it. */
export const write = (id, job, text, end) =>
  ask("POST", `${session(id)}/jobs/${job}/input${end ? "?end=true" : ""}`, { body: text });

const terminal = (id, job, part) => `${session(id)}/jobs/${job}/${part}`;
const as = (client) => `?client=${encodeURIComponent(client)}`;

/** A job: `{state, outcome, terminal, controller, …}`. */
export const showJob = (id, job) => json("GET", `${session(id)}/jobs/${job}`);

/** What a terminal shows now, or showed after the event `at`: `{after, columns, rows, content}`. */
export const showScreen = (id, job, at = 0) =>
  json("GET", terminal(id, job, `screen${at > 0 ? `?at=${at}` : ""}`));

/** Types bytes into a terminal. */
export const type = (id, job, client, body) =>
  ask("POST", terminal(id, job, `input${as(client)}`), { body });

/** Gives a terminal another size: `{columns, rows}`. */
export const resize = (id, job, client, size) => json("PUT", terminal(id, job, `size${as(client)}`), size);

/** Makes a client the one that types into a terminal. */
export const takeControl = (id, job, client) => json("PUT", terminal(id, job, "controller"), { client });

/** Lets others type into a terminal; also while the page is being left. */
export const giveControlBack = (id, job, client) =>
  ask("DELETE", terminal(id, job, `controller${as(client)}`), { keepalive: true });

/** The stream of a session's events after a sequence, or after `SEQUENCE-AT`; null if no more can follow. */
export async function openStream(id, after, signal) {
  const headers = { "accept": "text/event-stream", "last-event-id": String(after) };
  // The page and the terminal in it are one viewer.
  const response = await ask("GET", `${session(id)}/stream${as(clientName())}`, { headers, signal });
  return response.status === 204 ? null : response.body;
}

/** Logs in to a server with accounts; it responds with a cookie. */
export const login = (name, password) => json("POST", "/login", { name, password });

/** Logs out. */
export const logout = () => json("POST", "/logout");

/** Who is logged in: `{accounts, name, role}`. */
export const me = () => json("GET", "/me");

/** A unique name for a request. */
export function requestName() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return `console-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** The name under which this window types into terminals. A reload doesn't change it. */
export function clientName() {
  try {
    const kept = sessionStorage.getItem("rejoin-client");
    if (kept) return kept;
    sessionStorage.setItem("rejoin-client", ownName);
  } catch {
    // Without storage, a reload makes this another client.
  }
  return ownName;
}

const ownName = requestName();
