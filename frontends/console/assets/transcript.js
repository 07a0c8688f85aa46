// A session as it looks after some of its events: the fold of events into blocks.
//
// Events are applied in the order of their sequences, starting anywhere. The same events always
// give the same blocks, and the number of blocks is bounded.

import { Job, Note } from "./blocks.js";
import { SHOWN_BLOCKS, SHOWN_LINES } from "./limits.js";
import { Decoding, bytesOf } from "./result.js";
import { closing, gone, redacted } from "./format.js";

/** The blocks of a session, oldest first. */
export class Transcript {
  blocks = [];
  jobs = new Map();
  /** The sequence of the last event applied; 0 before the first. */
  sequence = 0;
  at = null;
  isClosed = false;
  #lines = 0;
  #unfinished = [];
  #decoding = new Decoding();
  #known;

  /** `known` has the commands of jobs that began before the first event applied. */
  constructor(known = new Map()) {
    this.#known = known;
  }

  apply(event) {
    if (this.sequence > 0 && event.sequence <= this.sequence) return;
    if (this.sequence > 0 && event.sequence > this.sequence + 1 && event.type !== "records-lost") {
      this.#note(event, `Events ${this.sequence + 1} to ${event.sequence - 1} are missing.`, "bad");
    }
    this.sequence = event.sequence;
    this.at = event.at;
    const fold = FOLDS[event.type];
    if (fold) fold(this, event);
  }

  /** The job that runs in the foreground. */
  get current() {
    return this.running.find((job) => job.place === "foreground") ?? null;
  }

  /** The jobs that have not finished, oldest first. */
  get running() {
    return this.#unfinished;
  }

  /** Where a line of output is: `[job, index]`, or null if it is not here. */
  lineOf({ job: number, sequence, row, line: text }) {
    const jobs = number ? [this.jobs.get(number)].filter(Boolean) : this.blocks.filter((it) => it.isJob);
    for (const job of jobs) {
      const { lines } = job.terminal;
      const at = lines.findIndex((it) => it.sequence === sequence && it.row === row && it.text !== "");
      if (at >= 0) return [job, at];
      // A terminal's lines move, so that only their text is known.
      const same = text && job.isTerminal ? lines.findIndex((it) => it.text.includes(text.trim())) : -1;
      if (same >= 0) return [job, same];
    }
    return null;
  }

  /** The transcript as text. */
  text() {
    return this.blocks.map((block) => block.text()).join("\n");
  }

  static submitted(transcript, event) {
    const screen = event.terminal ?? null;
    const job = new Job(event.job, event.sequence, event.at, event.statement, screen);
    job.place = event.place;
    job.takesInput = event.input === true && !job.isTerminal;
    job.by = event.by?.account ?? null;
    // In older logs, only the name of an agent's request says so. It is a name and no proof.
    job.isAgents = event.by ? event.by.frontend === "mcp" : event.request?.startsWith("mcp:") === true;
    transcript.#begin(job);
  }

  static started(transcript, event) {
    const job = transcript.jobs.get(event.job);
    // Events of a private job have no details.
    if (!job) return;
    job.state = "running";
    job.started = event.at;
    job.revision += 1;
  }

  static result(transcript, event) {
    const job = transcript.#job(event);
    if (event.redacted) {
      const text = `${redacted(event.redacted.by)}\n`;
      if (!job.isTerminal) return transcript.#write(job, text, "input", event.sequence);
      const bytes = new TextEncoder().encode(text.replace("\n", "\r\n"));
      return transcript.#change(job, () => job.terminal.write(bytes));
    }
    if (job.isTerminal && event.result.stream === "terminal") {
      return transcript.#change(job, () => job.terminal.write(bytesOf(event.result)));
    }
    const [text, stream] = transcript.#decoding.textOf(event.job, event.result);
    // Built-in commands, and services that are no shell, leave the terminal unused.
    job.isUnused = job.isTerminal;
    transcript.#write(job, text, stream, event.sequence);
  }

  static input(transcript, event) {
    const job = transcript.#job(event);
    // A terminal shows what is typed, if it is to be seen.
    if (job.isTerminal) return;
    if (event.redacted) return transcript.#write(job, `${redacted(event.redacted.by)}\n`, "input", event.sequence);
    const bytes = event.contentBase64 ? " (bytes)" : "";
    transcript.#write(job, event.content ?? bytes, "input");
    if (event.end) job.takesInput = false;
    if (event.end) job.terminal.endLine();
    job.revision += 1;
  }

  static resized(transcript, event) {
    const job = transcript.#job(event);
    if (job.isTerminal) transcript.#change(job, () => job.terminal.resize(event));
  }

  static interrupted(transcript, event) {
    const job = transcript.jobs.get(event.job);
    if (!job) return;
    job.isInterrupting = true;
    if (event.cause === "requested") job.interruptedBy = event.by?.account ?? null;
    job.revision += 1;
  }

  static finished(transcript, event) {
    const job = transcript.#job(event);
    transcript.#write(job, transcript.#decoding.ended(event.job), "stdout");
    job.takesInput = false;
    transcript.#change(job, () => job.finish(event));
    transcript.#unfinished = transcript.#unfinished.filter((other) => other !== job);
  }

  static refused(transcript, event) {
    transcript.#note(event, `Refused: ${event.reason}`, "bad");
  }

  static resumed(transcript, event) {
    const text = event.node
      ? `Node ${event.node} took over. The next command begins in the start directory.`
      : "The server restarted.";
    transcript.#note(event, text, "quiet");
  }

  static closed(transcript, event) {
    transcript.isClosed = true;
    transcript.#note(event, closing(event.cause, event.by?.account), "quiet");
  }

  static lost(transcript, event) {
    transcript.#note(event, gone(event), event.cause === "damage" ? "bad" : "quiet");
  }

  #job(event) {
    const present = this.jobs.get(event.job);
    if (present) return present;
    const known = this.#known.get(event.job);
    const job = new Job(
      event.job,
      event.sequence,
      known?.submitted ?? event.at,
      known?.statement ?? `job ${event.job}`,
      known?.screen ?? known?.terminal ?? null,
    );
    job.place = known?.place ?? "foreground";
    job.by = known?.by?.account ?? null;
    job.isAgents = known?.by?.frontend === "mcp";
    job.state = "running";
    this.#begin(job);
    return job;
  }

  #begin(job) {
    this.jobs.set(job.job, job);
    this.#unfinished.push(job);
    this.#lines += 1;
    this.#push(job);
  }

  #note(event, text, tone) {
    this.#push(new Note(event.sequence, event.at, text, tone));
  }

  #push(block) {
    this.blocks.push(block);
    if (this.blocks.length <= SHOWN_BLOCKS) return;
    const gone = this.blocks.findIndex((it) => !it.isJob || it.state === "finished");
    const [first] = gone < 0 ? [] : this.blocks.splice(gone, 1);
    if (!first?.isJob) return;
    this.#lines -= first.terminal.size;
    this.jobs.delete(first.job);
  }

  #write(job, text, stream, sequence) {
    if (text !== "") this.#change(job, () => job.terminal.write(text, stream, sequence));
  }

  /** Changes a job's output. */
  #change(job, change) {
    const before = job.terminal.size;
    change();
    this.#lines += job.terminal.size - before;
    if (this.#lines > SHOWN_LINES) this.#trim();
  }

  /** Drops a tenth of the lines at once, so that it happens rarely. */
  #trim() {
    let most = this.#lines - SHOWN_LINES * 0.9;
    for (const block of this.blocks) {
      if (most <= 0) break;
      if (!block.isJob) continue;
      const gone = block.terminal.drop(Math.ceil(most));
      most -= gone;
      this.#lines -= gone;
    }
  }
}

const FOLDS = {
  "job-submitted": Transcript.submitted,
  "job-started": Transcript.started,
  "result": Transcript.result,
  "input": Transcript.input,
  "terminal-resized": Transcript.resized,
  "interrupt-requested": Transcript.interrupted,
  "job-finished": Transcript.finished,
  "statement-refused": Transcript.refused,
  "session-resumed": Transcript.resumed,
  "session-closed": Transcript.closed,
  "records-lost": Transcript.lost,
};
