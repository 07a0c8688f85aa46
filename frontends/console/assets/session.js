// The open session: receives its events and updates the parts of the page.

import { clientName, closeSession, deleteSession, now, readEvents, requestName, showScreen, showSession, submit } from "./api.js";
import { find, setText } from "./dom.js";
import { GLANCE_PACE, OPENED_EVENTS, SHORT_JOB, UNSEEN } from "./limits.js";
import { InlineTerminal } from "./inline.js";
import { Jobs } from "./jobs.js";
import { Notifier } from "./notify.js";
import { failed, notice, say } from "./notices.js";
import { Playback } from "./playback.js";
import { Prompt } from "./prompt.js";
import { Recording } from "./recording.js";
import { mayClose, mayRun } from "./role.js";
import { address, replaceRoute, sharedBy } from "./route.js";
import { Screen } from "./screen.js";
import { Search } from "./search.js";
import { name } from "./sessions.js";
import { StatusBadge } from "./status.js";
import { Follower } from "./stream.js";
import { Timeline } from "./timeline.js";
import { Transcript } from "./transcript.js";
import { Viewers } from "./viewers.js";
import { about, badge, capitalized, closing, jobStatus } from "./format.js";

/** One session at a time. `on.refused` is called when a request needs a login. */
export class Session {
  id = null;
  recording = new Recording();
  #known = new Map();
  #transcript = new Transcript();
  #past = null;
  #playback = null;
  #follower = null;
  #detail = null;
  #wantedAt = 0;
  #isCaughtUp = false;
  #waits = 0;
  #on;
  #status = new StatusBadge(() => this.#follower?.retry());
  #unseen = 0;
  #wantsTerminal = false;
  /** The last job that this page has submitted. */
  #ownJob = null;
  /** A line of output to show once it is here: `{job, sequence, row}`. */
  #wantedLine = null;
  #viewers = new Viewers();

  constructor(on) {
    this.#on = on;
    const present = () => (this.#past ? this.#past.at : now());
    this.screen = new Screen(present, { follows: () => this.#drawEnd() });
    this.timeline = new Timeline(now, { moment: (count) => this.#moment(count) });
    this.jobs = new Jobs(present, { jump: (job) => this.screen.jumpTo(job) });
    this.search = new Search({
      show: (line) => {
        this.screen.setFound(this.search.pattern, null);
        if (line) this.showLine(line);
      },
      hide: () => {
        this.screen.setFound(null, null);
        find("screen").focus({ preventScroll: true });
      },
    });
    this.prompt = new Prompt({ sent: (job) => this.#sent(job), size: () => this.terminalSize() });
    this.notifier = new Notifier({ open: (id) => (location.hash = address(id)) });
    this.inline = new InlineTerminal({
      changed: () => this.changed(),
      left: () => {
        find("prompt").hidden = this.#transcript.isClosed || !mayRun();
        this.prompt.focus();
      },
    });
    find("to-end").addEventListener("click", () => this.screen.toEnd());
    find("load-earlier").addEventListener("click", () => this.#loadEarlier());
    document.addEventListener("visibilitychange", () => this.#seen());
    setInterval(() => this.#tick(), 1_000);
  }

  /** The transcript on the page. */
  get shown() {
    return this.#past ?? this.#transcript;
  }

  /** Opens a session, at its end, at one of its moments, or at a line of its output. */
  async open(id, at, line = null) {
    this.leave();
    this.id = id;
    this.#wantedAt = at;
    this.#wantedLine = line;
    find("session").hidden = false;
    find("session").dataset.known = "yes";
    this.#begin(new Recording());
    this.#viewers.open(sharedBy ? null : id);
    this.prompt.open(id);
    this.prompt.setJob(null);
    this.#status.show({ name: "connecting" });
    setText(find("name"), "…");
    setText(find("about"), id);
    // Others could lead to another path.
    if (!/^[\w-]+$/.test(id)) return this.#unknown();
    try {
      const detail = await showSession(id);
      if (this.id !== id) return;
      this.#detail = detail;
      this.prompt.setDirectory(detail.directory ?? null);
      for (const job of detail.jobs) this.#known.set(job.job, job);
      const to = at > 0 ? at + OPENED_EVENTS / 2 : detail.lastSequence;
      const after = Math.max(0, Math.min(to, detail.lastSequence) - OPENED_EVENTS);
      await this.#readScreens(after);
      if (this.id !== id) return;
      this.#followFrom(after);
      this.changed();
    } catch (error) {
      if (this.id === id) this.#failed(error, () => this.open(id, at));
    }
  }

  /** Leaves the open session; the session itself goes on. */
  leave() {
    this.#viewers.open(null);
    this.#follower?.stop();
    this.#playback?.stop();
    this.#follower = this.#detail = this.id = null;
    this.#known = new Map();
    this.#isCaughtUp = false;
    this.inline.show(null, null);
    find("session").hidden = true;
  }

  /** The size that the terminal of a new job is to have. */
  terminalSize() {
    return this.inline.size ?? this.screen.terminalSize(find("session").querySelector(".stage").clientHeight);
  }

  /** Gives the focus to the next terminal that is shown. */
  focusTerminal() {
    this.#wantsTerminal = true;
  }

  /** The command of this page was accepted: what it asks for is typed into its terminal at once. */
  #sent(job) {
    this.toEnd();
    this.#ownJob = job;
    if (this.inline.job?.job === job && this.prompt.isEmpty) this.inline.focus();
  }

  /** Once a second: what runs gets longer. */
  #tick() {
    if (this.#transcript.running.length === 0) return;
    this.timeline.changed();
    if (!this.#past) this.changed();
  }

  /** Starts a shell in the open session. */
  async openShell() {
    try {
      this.focusTerminal();
      await submit(this.id, "", requestName(), { terminal: this.terminalSize(), client: clientName() });
      this.toEnd();
    } catch (error) {
      failed(error);
    }
  }

  /** Returns to live and to the last line. */
  toEnd() {
    if (!this.timeline.isLive) this.timeline.live();
    this.screen.toEnd();
  }

  /** What is known of the session: its title and labels, for example. */
  get detail() {
    return this.#detail;
  }

  /** Shows a line of output; events that are not on the page are loaded. */
  showLine(line) {
    if (this.#jumpTo(line)) return;
    if (!this.timeline.isLive && this.#transcript.lineOf(line)) {
      this.timeline.live();
      this.#jumpTo(line);
      return;
    }
    this.open(this.id, line.sequence, line);
  }

  /** Whether the line is here; it is shown then. */
  #jumpTo(line) {
    const found = this.shown.lineOf(line);
    if (!found) return false;
    const [job, index] = found;
    this.#wantedLine = null;
    this.screen.setFound(this.search.pattern, job.terminal.lines[index]);
    this.screen.jumpToLine(job, index);
    replaceRoute(this.id, this.timeline.sequence, { sequence: line.sequence, row: line.row });
    return true;
  }

  /** Everything loaded, as text. */
  text() {
    const missing = this.recording.first > 1 ? `(earlier than event ${this.recording.first} is in the log)\n\n` : "";
    return missing + this.shown.text();
  }

  async close() {
    try {
      await closeSession(this.id);
    } catch (error) {
      failed(error);
    }
  }

  /** Deletes the session with its records. */
  async remove() {
    try {
      await deleteSession(this.id);
    } catch (error) {
      failed(error);
    }
  }

  /** Schedules an update of the page in the next animation frame. */
  changed() {
    if (this.#waits) return;
    this.#waits = setTimeout(() => {
      this.#waits = 0;
      this.#draw();
    }, 100);
  }

  #begin(recording) {
    this.recording = recording;
    this.#transcript = new Transcript(this.#known);
    this.#past = null;
    this.#playback = new Playback(recording, this.#known, (past) => this.#showPast(past));
    this.timeline.open(recording, this.#transcript);
    this.timeline.setLast(false);
    this.screen.open(this.#transcript);
    this.jobs.show(this.#transcript);
    this.changed();
  }

  /** Reads what the terminals show that are used at an event, from which the page goes on. */
  async #readScreens(after) {
    for (const job of this.#known.values()) {
      const isUsed = job.submittedSequence <= after && (job.finishedSequence ?? Infinity) > after;
      if (!job.terminal || !isUsed) continue;
      const screen = await showScreen(this.id, job.job, after);
      this.#known.set(job.job, { ...job, screen });
    }
  }

  #followFrom(after) {
    this.#follower = new Follower(this.id, after, {
      event: (event) => this.#event(event),
      state: (state) => this.#state(state),
      problem: (problem) => this.#failed(problem, () => this.#follower?.retry()),
    });
    if (!document.hidden) this.#follower.start();
  }

  #event(event) {
    const isDeleted = event.type === "records-lost" && event.by;
    const isRedacted = event.type === "records-redacted" && this.recording.shows(event.records);
    // What is here of them must not be shown any more.
    if (isDeleted || isRedacted) {
      this.open(this.id, 0);
      return;
    }
    if (!this.recording.add(event)) return;
    this.#transcript.apply(event);
    if (event.type !== "result") this.prompt.setJob(this.#transcript.current);
    if (event.type === "job-submitted") this.prompt.remember([event.statement]);
    if (event.type === "session-described") Object.assign(this.#detail ?? {}, { title: event.title, labels: event.labels });
    if (event.type === "job-finished" && this.#isCaughtUp) this.#finished(event.job);
    if (this.recording.isFull) {
      // A viewer of the past keeps it in memory; the server still has newer events.
      if (this.timeline.isLive) this.recording.trim();
      else this.#follower.stop();
    }
    if (this.timeline.isLive) this.screen.changed();
    this.timeline.changed();
    this.#catchUp();
    this.changed();
  }

  #catchUp() {
    if (this.#isCaughtUp || this.recording.last < (this.#detail?.lastSequence ?? 0)) return;
    this.#isCaughtUp = true;
    if (!this.#transcript.isClosed) this.inline.preload();
    const begun = [...this.#known.values()].filter((it) => it.submittedSequence < this.recording.first);
    const seen = this.recording.events.filter((it) => it.type === "job-submitted");
    this.prompt.forget();
    this.prompt.remember([...begun, ...seen].map((it) => it.statement));
    if (this.#wantedLine && this.#jumpTo(this.#wantedLine)) return;
    if (this.#wantedAt > 0) this.timeline.go(this.recording.countTo(this.#wantedAt));
  }

  #finished(number) {
    const job = this.#transcript.jobs.get(number);
    if (!job) return;
    say(`${job.lines[0].text}: ${jobStatus(job)}, ${badge(job, now())}`);
    this.notifier.ended(job, this.id);
    if (job.place === "foreground") this.#readDirectory();
  }

  /** The directory in which the next command runs, for the prompt. */
  async #readDirectory() {
    const { id } = this;
    const { directory } = await showSession(id).catch(() => ({}));
    if (id === this.id) this.prompt.setDirectory(directory ?? null);
  }

  #state(state) {
    if (state.name === "ended") this.timeline.setLast(true);
    this.#status.show(state);
    this.changed();
  }

  #failed(error, again) {
    if (error.code === "link_ended") {
      return this.#unknown("This link has ended", "Its time is over, or somebody has removed it. Ask for a new one.");
    }
    if (error.status === 401) return this.#on.refused(again);
    if (error.status === 404 && sharedBy) {
      const text = "The link shows one session alone, and this is another. With an account, open this session in a new window.";
      return this.#unknown("Not the session of this link", text);
    }
    if (error.status === 404) return this.#unknown();
    if (error.status === 410) return this.#unknown("Session deleted", capitalized(error.message));
    if (error.code === "cursor_unknown") {
      notice("The server was restored from a backup. The session is shown as the server has it now.");
      return this.open(this.id, 0);
    }
    if (error.status === 0 || error.isRetryable) {
      this.#status.show({ name: "reconnecting", until: Date.now() + 2_000 });
      setTimeout(() => this.id && again(), 2_000);
      return;
    }
    failed(error);
  }

  /** Shows that the server doesn't have the session, or why it doesn't show it. */
  #unknown(title = "Session not found", text = "There is no such session on this server, or it was removed.") {
    this.#status.show({ name: "unknown" });
    setText(find("name"), title);
    find("session").dataset.known = "no";
    find("blank").hidden = false;
    find("open-shell").hidden = find("over").hidden = true;
    setText(find("blank-text"), text);
  }

  #moment(count) {
    if (count === null) {
      this.#playback.stop();
      this.#past = null;
      if (!document.hidden) this.#follower?.start();
      this.screen.show(this.#transcript);
    } else {
      this.#playback.go(count);
    }
    replaceRoute(this.id, this.timeline.sequence);
    this.changed();
  }

  #showPast(past) {
    if (this.timeline.isLive) return;
    this.#past = past;
    this.screen.show(past);
    if (this.#wantedLine) this.#jumpTo(this.#wantedLine);
    this.changed();
  }

  async #loadEarlier() {
    const { id, recording } = this;
    if (recording.isFull) return failed(new Error("This page cannot hold more events. `rejoin export` gives you all of them."));
    find("load-earlier").disabled = true;
    try {
      const events = [];
      let after = Math.max(0, recording.first - 1 - OPENED_EVENTS);
      while (after < recording.first - 1) {
        const read = await readEvents(id, after, 10_000);
        if (read.events.length === 0) break;
        events.push(...read.events);
        after = read.after;
      }
      if (this.id !== id) return;
      recording.addEarlier(events);
      await this.#readScreens(recording.first - 1);
      if (this.id !== id) return;
      this.#refold();
    } catch (error) {
      failed(error);
    } finally {
      find("load-earlier").disabled = false;
    }
  }

  /** Reloads the events from an earlier one on. */
  #refold() {
    this.#transcript = new Transcript(this.#known);
    for (const event of this.recording.events) this.#transcript.apply(event);
    const { isLive, sequence } = this.timeline;
    this.timeline.open(this.recording, this.#transcript);
    this.#playback.stop();
    this.screen.show(this.#transcript);
    if (!isLive) this.timeline.go(this.recording.countTo(sequence));
    this.changed();
  }

  #draw() {
    if (!this.id || find("session").dataset.known === "no") return;
    const { shown } = this;
    this.screen.changed();
    this.jobs.show(shown);
    this.#placeTerminal();
    this.prompt.setJob(this.#transcript.current);
    this.#drawTitle();
    this.#drawEnd();
    const { first } = this.recording;
    find("earlier").hidden = first <= 1;
    setText(find("earlier-text"), `Earlier events than ${first.toLocaleString("en")} are not loaded.`);
    const isClosed = this.#transcript.isClosed;
    find("prompt").hidden = isClosed || !mayRun() || (this.inline.job?.isShell ?? false);
    find("over").hidden = !isClosed && mayRun();
    find("close").disabled = isClosed;
    find("close").hidden = !mayClose(this.#detail?.user);
    const over = isClosed ? `${closing(this.#detail?.closed?.cause)} It can still be read and replayed.` : WATCHING;
    setText(find("over"), over);
    this.#status.setPast(!this.timeline.isLive);
    const isBlank = shown.blocks.length === 0;
    find("blank").hidden = !isBlank;
    find("open-shell").hidden = !this.#isCaughtUp || isClosed;
    const invitation = mayRun() ? " Type a command below; F1 shows the keys." : "";
    setText(find("blank-text"), this.#isCaughtUp ? `Nothing has run here yet.${invitation}` : "Reading the log …");
  }

  /** Shows the terminal of the running job, to type into, once it has run for a moment. */
  #placeTerminal() {
    const { current } = this.#transcript;
    const isLive = this.timeline.isLive && this.#isCaughtUp;
    const isLong = current?.isShell || now() - (current?.started ?? now()) > SHORT_JOB;
    const job = isLive && current?.isTerminal && !current.isUnused && current.state === "running" && isLong ? current : null;
    const isNew = job !== null && job !== this.inline.job;
    const isAlone = job?.isShell && this.#transcript.blocks.length === 1;
    this.inline.show(this.id, job, isAlone ? 1 : 2);
    this.screen.setCompact(job !== null);
    const isIdle = this.prompt.isIdle || document.activeElement === document.body;
    const isOwn = job?.job === this.#ownJob && this.prompt.isEmpty;
    if (isNew && (isIdle || isOwn || this.#wantsTerminal)) this.inline.focus();
    if (isNew) this.#wantsTerminal = false;
    if (!job && isLive && current?.isTerminal && !current.isUnused) this.changed();
  }

  #drawTitle() {
    if (!this.#detail) return;
    const called = name(this.#detail);
    setText(find("name"), called);
    setText(find("about"), about(this.#detail));
    const running = this.#transcript.current;
    this.notifier.setTitle(`${running ? "● " : ""}${running?.lines[0].text ?? called} · Rejoin`);
  }

  #drawEnd() {
    const button = find("to-end");
    button.hidden = this.screen.follows || this.screen.isEndSeen;
    setText(button.querySelector("span"), this.timeline.isLive ? "Jump to the end" : "Follow");
  }

  #seen() {
    clearTimeout(this.#unseen);
    if (!this.#follower) return;
    if (!document.hidden) return this.#follower.start();
    // Browsers have six connections for all pages of a server.
    this.#unseen = setTimeout(() => this.#rest(), UNSEEN);
  }

  /** Closes the connection of a hidden page. If a command runs, short requests ask for its end. */
  #rest() {
    this.#follower?.stop();
    if (!this.id || this.#transcript.running.length === 0) return;
    this.#unseen = setTimeout(() => this.#glance(), GLANCE_PACE);
  }

  async #glance() {
    const { id } = this;
    const { jobs } = await showSession(id).catch(() => ({}));
    if (id !== this.id || !document.hidden) return;
    const isOver = ({ job }) => jobs && jobs.find((it) => it.job === job)?.state !== "running";
    if (!this.#transcript.running.some(isOver)) return this.#rest();
    this.#follower?.start();
    this.#unseen = setTimeout(() => this.#rest(), UNSEEN);
  }
}

const WATCHING = sharedBy
  ? "You watch by a link, which shows this session and nothing else."
  : "You watch: your account has the role viewer, which runs no commands.";
