// Formats numbers, instants and states as text. Pure: the current time is an argument.

/** A duration in milliseconds, with its one or two largest units. */
export function duration(millis) {
  if (millis < 1_000) return `${Math.max(0, Math.round(millis))} ms`;
  const seconds = millis / 1_000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${pad(Math.floor(seconds % 60))} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${pad(minutes % 60)} min`;
  return `${Math.floor(hours / 24)} days`;
}

/** How long ago an instant was, roughly. */
export function ago(instant, now) {
  const seconds = (now - instant) / 1_000;
  if (seconds < 10) return "just now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 48 * 3_600) return `${Math.floor(seconds / 3_600)} h ago`;
  return `${Math.floor(seconds / 86_400)} days ago`;
}

/** How long it is until an instant. */
export function until(instant, now) {
  const seconds = Math.max(0, (instant - now) / 1_000);
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3_600) return `${Math.round(seconds / 3_600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

/** The time of day to the second, with the date if it is not today. */
export function clock(instant, now) {
  const then = new Date(instant);
  const time = [then.getHours(), then.getMinutes(), then.getSeconds()].map(pad).join(":");
  if (new Date(now).toDateString() === then.toDateString()) return time;
  return `${then.getFullYear()}-${pad(then.getMonth() + 1)}-${pad(then.getDate())} ${time}`;
}

/** The status of a job, in one or two words. */
export function jobStatus(job) {
  if (job.state !== "finished") return job.isInterrupting ? "interrupting" : "running";
  return job.outcome === "timed-out" ? "timed out" : job.outcome;
}

/** The text beside a command: its exit status or state, and its duration. */
export function badge(job, now) {
  const took = duration((job.finished ?? now) - (job.started ?? job.at));
  if (job.state !== "finished") return job.isInterrupting ? `interrupting · ${took}` : took;
  if (job.outcome === "completed" || job.outcome === "failed") return `exit ${job.status} · ${took}`;
  return `${jobStatus(job)} · ${took}`;
}

/** How a job ended, or null if it succeeded. */
export function ending(job, message) {
  const more = message ? `: ${message}` : "";
  switch (job.outcome) {
    case "completed":
      return null;
    case "failed":
      return `exited with ${job.status}${more}`;
    case "interrupted":
      return `interrupted${job.interruptedBy ? ` by ${job.interruptedBy}` : ""}${more}`;
    case "timed-out":
      return `timed out and was interrupted${more}`;
    case "lost":
      return `lost: ${message ?? "the server stopped while it ran"}`;
    default:
      return `${job.outcome}${more}`;
  }
}

/** Why a session ended, and who closed it. */
export function closing(cause, account) {
  if (cause === "idle") return "The session ended because it was idle for too long.";
  return account ? `The session was closed by ${account}.` : "The session was closed.";
}

/** Which events are missing, and why. */
export function gone({ first, last, cause, by }) {
  const which = first === last ? `Event ${first}` : `Events ${first} to ${last}`;
  if (by) return `${which} were deleted by ${by.account ?? "someone"}.`;
  if (cause === "deletion") return `${which} were deleted.`;
  if (cause === "retention") return `${which} were removed by retention.`;
  return `${which} cannot be read: the log is damaged there.`;
}

/** A message of the server as a sentence. */
export function capitalized(message) {
  return `${message.charAt(0).toUpperCase()}${message.slice(1)}.`;
}

/** That output or input was redacted, and by whom. */
export function redacted(by) {
  return `[redacted by ${by?.account ?? "someone"}]`;
}

/** The end of a path, if all of it is too long for a prompt. */
export function shortPath(path) {
  const names = path.split("/");
  let short = path;
  for (let from = 1; short.length > LONGEST_PATH && from < names.length; from += 1) {
    short = `…/${names.slice(from).join("/")}`;
  }
  return short;
}

/** Characters of a path in a prompt. */
const LONGEST_PATH = 32;

/** A count with its noun. */
export function counted(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

function pad(number) {
  return String(number).padStart(2, "0");
}

/** A title or label of an old log: characters that change the direction of text, or can't be seen, as escapes. */
export function harmless(text) {
  const escaped = (it) => `\\u{${it.codePointAt(0).toString(16)}}`;
  return text.replace(/[\p{Cc}\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]/gu, escaped);
}

/** What is known of a session, in one line. */
export function about({ service, remote, created, title, number, user, labels }) {
  const startedAt = new Date(created).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  const known = title ? `#${number}${user ? ` ${user}` : ""}` : null;
  const labelled = Object.entries(labels).map(([key, value]) => harmless(`${key}=${value}`)).join(" ");
  return [known, labelled, service, `started ${startedAt}`, remote && `from ${remote}`].filter(Boolean).join(" · ");
}
