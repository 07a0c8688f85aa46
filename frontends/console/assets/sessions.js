// The list of sessions. It updates itself while the page is visible.

import { listSessions, now } from "./api.js";
import { find, make, setText } from "./dom.js";
import { LIST_PACE, LISTED_SESSIONS, MOST_LIST_REQUESTS, MOST_LISTED_SESSIONS, SEARCH_PAUSE } from "./limits.js";
import { address, sharedBy } from "./route.js";
import { ago, counted, duration, harmless } from "./format.js";
import { stateIcon } from "./render.js";
import { listTitle } from "./role.js";

/** The list. `on.refused` is called when a request needs a login. */
export class Sessions {
  #on;
  #sessions = [];
  #next = null;
  #limit = LISTED_SESSIONS;
  #chosen = null;
  #elements = new Map();
  #timer = 0;
  #asked = 0;
  #isKnown = false;
  #seesAll = true;
  #list = make("ul");
  #empty = make("p", { className: "empty" });
  #more = make("button", { className: "button small", type: "button", textContent: "Show more" });

  constructor(on) {
    this.#on = on;
    find("sessions").append(this.#list, this.#empty, this.#more);
    this.#more.addEventListener("click", () => {
      this.#limit = Math.min(this.#limit * 4, MOST_LISTED_SESSIONS);
      this.look();
    });
    let pause = 0;
    find("filter").addEventListener("input", () => {
      clearTimeout(pause);
      pause = setTimeout(() => this.look(), SEARCH_PAUSE);
    });
    find("states").addEventListener("change", () => this.look());
    find("sort").value = keptOrder();
    find("sort").addEventListener("change", () => {
      keepOrder(find("sort").value);
      this.#draw();
    });
    document.addEventListener("visibilitychange", () => this.look());
    this.look();
  }

  /** Requests the list now, and then regularly. */
  async look() {
    clearTimeout(this.#timer);
    // Who has a link sees one session.
    if (document.hidden || sharedBy) return;
    const asked = (this.#asked += 1);
    try {
      const state = find("states").querySelector(":checked").value;
      const page = await this.#page(state, find("filter").value.trim());
      if (asked !== this.#asked) return;
      this.#sessions = page.sessions;
      this.#next = page.next;
      this.#isKnown = true;
      setText(find("reach"), "");
      this.#draw();
    } catch (error) {
      if (asked !== this.#asked) return;
      if (error.status === 401) return this.#on.refused();
      setText(find("reach"), error.status === 0 ? "Server unreachable" : error.message);
    }
    this.#timer = setTimeout(() => this.look(), LIST_PACE);
  }

  /** The newest sessions that match. The server looks at a part of them for each request. */
  async #page(state, query) {
    const page = { sessions: [], next: null };
    for (let asked = 0; asked < MOST_LIST_REQUESTS; asked += 1) {
      const limit = this.#limit - page.sessions.length;
      const part = await listSessions({ limit, state, query, before: page.next });
      page.sessions.push(...part.sessions);
      page.next = part.next;
      if (part.next === null || page.sessions.length >= this.#limit) break;
    }
    return page;
  }

  /** Says whether the list shows the sessions of everybody. */
  setSeesAll(seesAll) {
    this.#seesAll = seesAll;
    find("sessions-title").hidden = listTitle() === null;
    setText(find("sessions-title"), listTitle() ?? "");
    this.#draw();
  }

  /** Marks the open session. */
  choose(session) {
    this.#chosen = session;
    this.#draw();
  }

  /** The session `step` places after the chosen one in the list, or before. */
  beside(step) {
    const shown = this.#shown();
    const at = shown.findIndex((it) => it.id === this.#chosen);
    return shown[at < 0 ? 0 : at + step]?.id ?? null;
  }

  #shown() {
    const order = ORDERS[find("sort").value];
    return order ? this.#sessions.toSorted(order) : this.#sessions;
  }

  #draw() {
    const shown = this.#shown();
    const kept = new Set();
    let before = null;
    for (const session of shown) {
      const element = this.#element(session);
      kept.add(session.id);
      const place = before ? before.nextElementSibling : this.#list.firstElementChild;
      if (place !== element) this.#list.insertBefore(element, place);
      before = element;
    }
    for (const [id, element] of this.#elements) {
      if (kept.has(id)) continue;
      element.remove();
      this.#elements.delete(id);
    }
    this.#more.hidden = this.#next === null || this.#limit >= MOST_LISTED_SESSIONS;
    this.#empty.hidden = shown.length > 0;
    setText(this.#empty, this.#emptiness());
  }

  #emptiness() {
    if (!this.#isKnown) return "Loading …";
    if (find("filter").value.trim() !== "") return "No sessions match the filter.";
    const state = find("states").querySelector(":checked").value;
    if (state) return `No ${state} sessions.`;
    if (this.#seesAll) return "No sessions yet.";
    return "No sessions of yours yet. A session of somebody else appears here once you have opened its link.";
  }

  #element(session) {
    let element = this.#elements.get(session.id);
    if (!element) {
      const link = make(
        "a",
        { href: address(session.id) },
        make("span", { className: "dot" }),
        make("span", { className: "who" }),
        make("span", { className: "when" }),
        make("span", { className: "what" }),
      );
      element = make("li", {}, link);
      this.#elements.set(session.id, element);
    }
    const link = element.firstElementChild;
    const [dot, who, when, what] = link.children;
    drawState(dot, session);
    setText(who, name(session));
    link.title = harmless(Object.entries(session.labels).map(([key, value]) => `${key}=${value}`).join(" "));
    setText(when, beside(session));
    setText(what, doing(session));
    if (session.id === this.#chosen) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    return element;
  }
}

/** What a session is called: its title, or its number and user. */
export function name(session) {
  if (session.title) return harmless(session.title);
  return session.user ? `#${session.number} ${session.user}` : `Session #${session.number}`;
}

/** Whether the last command did not succeed. */
function isBad(session) {
  const outcome = session.lastJob?.outcome;
  return session.state !== "running" && outcome !== undefined && outcome !== "completed" && outcome !== "interrupted";
}

/** The state as a form and a colour; of one that failed, how it failed. */
function drawState(dot, session) {
  const { outcome } = session.lastJob ?? {};
  const [form, label] = isBad(session) ? [outcome, `${session.state}, last command ${outcome}`] : [session.state, session.state];
  const className = `dot is-${session.state}${isBad(session) ? " is-bad" : ""}`;
  if (dot.className === className && dot.title === label) return;
  dot.className = className;
  dot.title = label;
  dot.replaceChildren(stateIcon(form, label));
}

function rank(session) {
  if (session.state === "running") return 0;
  if (isBad(session)) return 1;
  return session.state === "idle" ? 2 : 3;
}

/** The orders of the list; those that are equal stay as they come, the newest first. */
const ORDERS = {
  newest: null,
  state: (one, other) => rank(one) - rank(other),
  changed: (one, other) => other.since - one.since,
  title: (one, other) => name(one).localeCompare(name(other), undefined, { numeric: true }),
};

function keptOrder() {
  try {
    const kept = localStorage.getItem("rejoin-order");
    return kept in ORDERS ? kept : "state";
  } catch {
    return "state";
  }
}

function keepOrder(order) {
  try {
    localStorage.setItem("rejoin-order", order);
  } catch {
    // Without storage, it lasts as long as the page.
  }
}

function beside(session) {
  if (session.currentJob) return duration(now() - session.currentJob.submitted);
  return ago(session.closed?.at ?? session.since, now());
}

function doing(session) {
  if (session.currentJob) return session.currentJob.statement.split("\n")[0] || "shell";
  const last = session.lastJob;
  const parts = last ? [last.statement.split("\n")[0] || "shell"] : [session.service];
  if (last && isBad(session)) parts.unshift(last.outcome === "failed" ? `exit ${last.status}` : last.outcome);
  if (session.closed) parts.push(session.closed.cause === "idle" ? "ended, unused" : "closed");
  else if (!last) parts.push("idle");
  if (session.consumers > 0) parts.push(counted(session.consumers, "consumer"));
  return parts.join(" · ");
}
