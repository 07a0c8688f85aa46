// Who else watches the session: how many in the bar, and each of them in a list.

import { now, showViewers } from "./api.js";
import { find, make, setText } from "./dom.js";
import { ago, counted } from "./format.js";
import { VIEWERS_PAUSE } from "./limits.js";

/** The viewers of one session at a time, asked for while the page is in sight. */
export class Viewers {
  #session = null;
  #timer = 0;

  constructor() {
    document.addEventListener("visibilitychange", () => this.#ask());
  }

  /** Shows the viewers of a session; of none with null. */
  open(session) {
    this.#session = session;
    find("viewers").hidden = true;
    this.#ask();
  }

  async #ask() {
    clearTimeout(this.#timer);
    const session = this.#session;
    if (!session || document.hidden) return;
    try {
      const { count, viewers } = await showViewers(session);
      if (session === this.#session) this.#show(count, viewers);
    } catch (error) {
      // The stream of events says what is wrong. A server of an older version has no viewers.
      if (error.status === 404 || error.status === 405) return;
    }
    clearTimeout(this.#timer);
    if (session === this.#session) this.#timer = setTimeout(() => this.#ask(), VIEWERS_PAUSE);
  }

  #show(count, viewers) {
    find("viewers").hidden = count === 0;
    setText(find("viewers-count"), count.toLocaleString("en"));
    setText(find("viewers-word"), count === 1 ? "viewer" : "viewers");
    find("viewers").setAttribute("aria-label", counted(count, "viewer"));
    const items = viewers.map((viewer) => {
      const { account, frontend } = viewer.by ?? {};
      const from = frontend ? ` · ${frontend}` : "";
      const text = `${account ?? "someone"}${from} · since ${ago(viewer.since, now())}`;
      return make("li", { textContent: text, title: viewer.by?.address ?? "" });
    });
    if (viewers.length < count) items.push(make("li", { textContent: `and ${count - viewers.length} more` }));
    find("viewer-list").querySelector("ul").replaceChildren(...items);
  }
}
