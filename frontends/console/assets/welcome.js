// What the page shows while no session is open: what runs, and what failed lately.

import { listSessions, now } from "./api.js";
import { find, make, setText } from "./dom.js";
import { ago, duration } from "./format.js";
import { LIST_PACE, WELCOME_SESSIONS } from "./limits.js";
import { address, sharedBy } from "./route.js";
import { name } from "./sessions.js";

/** The lists. They update themselves while they are visible. */
export class Welcome {
  #timer = 0;
  #asked = 0;

  constructor() {
    document.addEventListener("visibilitychange", () => this.look());
  }

  /** Requests the lists now, and then regularly. */
  async look() {
    clearTimeout(this.#timer);
    const asked = (this.#asked += 1);
    if (document.hidden || find("welcome").hidden || sharedBy) return;
    try {
      const lists = await Promise.all([
        listSessions({ limit: WELCOME_SESSIONS, state: "running" }),
        listSessions({ limit: WELCOME_SESSIONS, query: "result:failed,timed-out,lost" }),
      ]);
      if (asked !== this.#asked) return;
      const [running, failed] = lists.map((page) => page.sessions);
      show("welcome-running", running, (job) => duration(now() - job.submitted));
      show("welcome-failed", failed, (job) => `${outcome(job)} · ${ago(job.finished, now())}`);
    } catch {
      // The list of sessions says what is wrong.
    }
    if (asked === this.#asked) this.#timer = setTimeout(() => this.look(), LIST_PACE);
  }
}

function show(id, sessions, beside) {
  const list = find(id).querySelector("ul");
  find(id).hidden = sessions.length === 0;
  const items = sessions.map((session) => {
    const job = session.currentJob ?? session.lastJob;
    const [who, when, what] = ["who", "when", "what"].map((className) => make("span", { className }));
    setText(who, name(session));
    setText(when, job ? beside(job) : "");
    setText(what, job?.statement.split("\n")[0] || "shell");
    return make("li", {}, make("a", { href: address(session.id) }, who, when, what));
  });
  // What has the focus keeps it.
  const isSame = items.length === list.children.length && items.every((item, at) => item.isEqualNode(list.children[at]));
  if (!isSame && !list.contains(document.activeElement)) list.replaceChildren(...items);
}

function outcome(job) {
  if (job.outcome === "failed") return `exit ${job.status}`;
  return job.outcome === "timed-out" ? "timed out" : job.outcome;
}
