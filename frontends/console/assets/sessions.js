// The list of sessions. It updates itself while the page is visible.

import { listSessions, now } from "./api.js";
import { find, make, setText } from "./dom.js";
import { LIST_PACE, LISTED_SESSIONS, MOST_LISTED_SESSIONS } from "./limits.js";
import { address } from "./route.js";
import { ago, counted, duration } from "./format.js";

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
    find("filter").addEventListener("input", () => this.#draw());
    find("states").addEventListener("change", () => this.look());
    document.addEventListener("visibilitychange", () => this.look());
    this.look();
  }

  /** Requests the list now, and then regularly. */
  async look() {
    clearTimeout(this.#timer);
    if (document.hidden) return;
    const asked = (this.#asked += 1);
    try {
      const state = find("states").querySelector(":checked").value;
      const page = await listSessions(this.#limit, state);
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

  /** Says whether the list shows the sessions of everybody. */
  setSeesAll(seesAll) {
    this.#seesAll = seesAll;
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
    const words = find("filter").value.trim().toLowerCase().split(/\s+/);
    return this.#sessions.filter((session) => {
      const { id, number, user, service, state, currentJob, remote } = session;
      const parts = [`#${number}`, id, user, service, state, currentJob?.statement, remote];
      const text = parts.filter(Boolean).join(" ").toLowerCase();
      return words.every((word) => text.includes(word));
    });
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
    if (this.#sessions.length > 0) return "No sessions match the filter.";
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
        make("i", { className: "dot" }),
        make("span", { className: "who" }),
        make("span", { className: "when" }),
        make("span", { className: "what" }),
      );
      element = make("li", {}, link);
      this.#elements.set(session.id, element);
    }
    const link = element.firstElementChild;
    const [dot, who, when, what] = link.children;
    dot.className = `dot is-${session.state}`;
    setText(who, name(session));
    setText(when, beside(session));
    setText(what, doing(session));
    if (session.id === this.#chosen) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    return element;
  }
}

/** A session's title: its number and user. */
export function name(session) {
  return session.user ? `#${session.number} ${session.user}` : `Session #${session.number}`;
}

function beside(session) {
  if (session.currentJob) return duration(now() - session.currentJob.submitted);
  return ago(session.closed?.at ?? session.since, now());
}

function doing(session) {
  if (session.currentJob) return session.currentJob.statement.split("\n")[0];
  const parts = [session.service];
  if (session.closed) parts.push(session.closed.cause === "idle" ? "ended, unused" : "closed");
  else parts.push("idle");
  if (session.consumers > 0) parts.push(counted(session.consumers, "consumer"));
  return parts.join(" · ");
}
