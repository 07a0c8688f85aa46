// The time line: chooses which moment of the session is shown, and replays from there.
//
// A moment is a number of recorded events: the first `count` of them have happened.

import { find, icon, make, setText } from "./dom.js";
import { onTheme } from "./theme.js";
import { clock, duration, jobStatus } from "./format.js";

/** The time line. `on.moment` is called with the number of events to show, or null for live. */
export class Timeline {
  #recording = null;
  #transcript = null;
  #now;
  #on;
  #count = null;
  #time = 0;
  #frame = 0;
  #drawnAt = 0;
  #drawing = 0;
  #isLast = false;
  #track = find("track");
  #canvas = this.#track.querySelector("canvas");
  #thumb = this.#track.querySelector(".thumb");
  #tip = find("tip");

  constructor(now, on) {
    this.#now = now;
    this.#on = on;
    find("play").addEventListener("click", () => this.toggle());
    find("previous").addEventListener("click", () => this.step(-1));
    find("next").addEventListener("click", () => this.step(1));
    find("live").addEventListener("click", () => this.live());
    find("skip").addEventListener("change", () => this.#place(this.#count));
    this.#track.addEventListener("pointerdown", (event) => this.#drag(event));
    this.#track.addEventListener("pointermove", (event) => this.#showTip(event));
    for (const left of ["pointerleave", "lostpointercapture"]) {
      this.#track.addEventListener(left, () => (this.#tip.hidden = true));
    }
    this.#track.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.changed(true)).observe(this.#track);
    onTheme(() => this.changed(true));
  }

  /** Switches to another session, live. */
  open(recording, transcript) {
    this.#pause();
    this.#recording = recording;
    this.#transcript = transcript;
    this.#count = null;
    this.changed(true);
  }

  get isLive() {
    return this.#count === null;
  }

  /** The sequence of the last event shown; 0 while live. */
  get sequence() {
    return this.isLive ? 0 : (this.#recording.events[this.#count - 1]?.sequence ?? 0);
  }

  /** Schedules a redraw after events were added, at most every 200 ms. */
  changed(atOnce = false) {
    if (this.#drawing) return;
    const wait = atOnce ? 0 : Math.max(0, this.#drawnAt + 200 - performance.now());
    this.#drawing = setTimeout(() => {
      this.#drawing = 0;
      this.#drawnAt = performance.now();
      this.#draw();
    }, wait);
  }

  /** Sets whether the session has ended; a replay then stops at the end instead of going live. */
  setLast(isLast) {
    this.#isLast = isLast;
    this.changed();
  }

  /** Returns to live. */
  live() {
    this.#pause();
    this.#count = null;
    this.#on.moment(null);
    this.changed(true);
  }

  /** Shows the moment after `count` events, paused. */
  go(count) {
    this.#pause();
    this.#place(Math.max(0, Math.min(count, this.#recording.events.length)));
  }

  /** Jumps to the start of the previous job (-1) or the next (1). */
  step(direction) {
    const { events } = this.#recording;
    const from = this.#count ?? events.length;
    const isStart = (at) => events[at]?.type === "job-submitted";
    // At the start of a job, "previous" means the job before it.
    let at = direction < 0 ? from - 2 : from;
    while (at >= 0 && at < events.length && !isStart(at)) at += direction;
    if (at >= events.length) return this.live();
    this.go(Math.max(0, at) + 1);
  }

  /** Replays from the moment shown, or from the start when live; pauses a running replay. */
  toggle() {
    if (this.#frame) return this.#pause();
    const { events } = this.#recording;
    if (events.length === 0) return;
    if (this.#count === null || this.#count >= events.length) this.#place(1);
    setText(find("play").querySelector("span"), "Pause");
    find("play").querySelector("svg").replaceWith(icon("pause"));
    let last = performance.now();
    const tick = (present) => {
      this.#frame = requestAnimationFrame(tick);
      this.#time += (present - last) * Number(find("speed").value);
      last = present;
      this.#advance();
    };
    this.#frame = requestAnimationFrame(tick);
  }

  #advance() {
    const { events } = this.#recording;
    const count = this.#recording.countAt(this.#time, this.#withPauses);
    if (count >= events.length) {
      if (!this.#isLast) return this.live();
      this.#pause();
    }
    if (count === this.#count) return this.#placeThumb();
    this.#count = count;
    this.#on.moment(count);
    this.#placeThumb();
  }

  #pause() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    setText(find("play").querySelector("span"), "Replay");
    find("play").querySelector("svg").replaceWith(icon("play"));
  }

  #place(count) {
    this.#count = count;
    if (count !== null) {
      this.#time = this.#recording.timeOf(count - 1, this.#withPauses);
      this.#on.moment(count);
    }
    this.changed(true);
  }

  get #withPauses() {
    return !find("skip").checked;
  }

  #drag(down) {
    if (down.button !== 0 || !this.#recording || this.#recording.events.length === 0) return;
    this.#pause();
    this.#track.setPointerCapture(down.pointerId);
    const move = (it) => {
      this.#time = this.#timeUnder(it);
      this.#count = Math.max(1, this.#recording.countAt(this.#time, this.#withPauses));
      this.#on.moment(this.#count);
      this.#placeThumb();
    };
    move(down);
    this.#track.addEventListener("pointermove", move);
    const end = () => this.#track.removeEventListener("pointermove", move);
    this.#track.addEventListener("lostpointercapture", end, { once: true });
  }

  /** The duration of what the line shows. It grows while a job runs, also if that says nothing. */
  get #length() {
    const until = this.#transcript.running.length > 0 ? this.#now() : 0;
    return this.#recording.length(this.#withPauses, until);
  }

  #timeUnder({ clientX }) {
    const { left, width } = this.#track.getBoundingClientRect();
    return Math.max(0, Math.min(1, (clientX - left) / width)) * this.#length;
  }

  /** Says which time is under the pointer, and what ran at that time. */
  #showTip(event) {
    if (!this.#recording || this.#recording.events.length === 0) return;
    const instant = this.#recording.instantAt(this.#timeUnder(event), this.#withPauses);
    const jobs = this.#transcript.blocks.filter((it) => it.isJob && it.at <= instant && (it.finished ?? Infinity) >= instant);
    const ran = jobs.map((job) => `${job.lines[0].text} · ${jobStatus(job)}`);
    const more = ran.length > SEEN_JOBS ? [`and ${ran.length - SEEN_JOBS} more`] : [];
    const [time, ...lines] = [clock(instant, this.#now()), ...ran.slice(0, SEEN_JOBS), ...more];
    this.#tip.replaceChildren(make("b", { textContent: time }), ...lines.map((line) => make("span", { textContent: line })));
    this.#tip.hidden = false;
    const { left, width } = this.#track.getBoundingClientRect();
    const room = this.#tip.parentElement.getBoundingClientRect();
    const middle = Math.max(left, Math.min(left + width, event.clientX)) - room.left;
    const most = room.width - this.#tip.offsetWidth - 4;
    this.#tip.style.left = `${Math.max(4, Math.min(middle - this.#tip.offsetWidth / 2, most))}px`;
  }

  #key(key) {
    const { events } = this.#recording;
    const count = this.#count ?? events.length;
    const page = Math.max(1, Math.round(events.length / 20));
    const to = {
      ArrowLeft: count - 1,
      ArrowRight: count + 1,
      PageDown: count - page,
      PageUp: count + page,
      Home: 1,
    }[key.key];
    if (key.key === "End") this.live();
    else if (to === undefined) return;
    else this.go(Math.max(1, to));
    key.preventDefault();
    key.stopPropagation();
  }

  #draw() {
    if (!this.#recording) return;
    this.#drawTrack();
    this.#placeThumb();
  }

  #placeThumb() {
    const { events } = this.#recording;
    const length = this.#length;
    const time = this.isLive ? length : Math.min(this.#time, length);
    this.#thumb.style.left = `${length > 0 ? (time / length) * 100 : 100}%`;
    const event = events[(this.#count ?? events.length) - 1];
    const [first] = events;
    // While a job runs, the present is later than the last event.
    const at = this.isLive && this.#transcript.running.length > 0 ? this.#now() : event?.at;
    setText(find("moment"), event ? `${clock(at, this.#now())} · ${duration(at - first.at)}` : "");
    const live = find("live");
    live.classList.toggle("is-on", this.isLive && !this.#isLast);
    setText(live, this.#isLast ? "End" : "Live");
    this.#track.setAttribute("aria-valuemin", "0");
    this.#track.setAttribute("aria-valuemax", String(events.length));
    this.#track.setAttribute("aria-valuenow", String(this.#count ?? events.length));
    this.#track.setAttribute("aria-valuetext", this.isLive ? "now" : find("moment").textContent);
  }

  /** Draws jobs as bars, coloured by outcome. */
  #drawTrack() {
    const { width, height } = this.#track.getBoundingClientRect();
    const scale = devicePixelRatio || 1;
    this.#canvas.width = Math.round(width * scale);
    this.#canvas.height = Math.round(height * scale);
    const pen = this.#canvas.getContext("2d");
    pen.scale(scale, scale);
    const style = getComputedStyle(this.#track);
    const colour = (name) => style.getPropertyValue(`--bar-${name}`).trim() || "gray";
    const middle = Math.round(height / 2);
    pen.fillStyle = colour("line");
    bar(pen, 0, width, middle, 4);
    const length = this.#length || 1;
    const atSequence = (sequence) => {
      const place = this.#recording.countTo(sequence) - 1;
      return (this.#recording.timeOf(place, this.#withPauses) / length) * width;
    };
    for (const job of this.#transcript.blocks) {
      if (!job.isJob) continue;
      const from = atSequence(job.sequence);
      const to = job.state === "finished" ? atSequence(job.lastSequence) : width;
      const how = job.state === "finished" ? job.outcome : "running";
      pen.fillStyle = colour(how);
      bar(pen, from, Math.max(to, from + 3), middle, 8);
      // Not by colour alone: what failed ends with a high mark, and what was stopped with a low one.
      if (ENDS[how]) bar(pen, Math.max(to, from + 3) - 4, Math.max(to, from + 3), middle, ENDS[how]);
    }
  }
}

/** The heights in pixels of the marks at the ends of bars. */
const ENDS = { "failed": 22, "lost": 22, "interrupted": 14, "timed-out": 14 };

/** Jobs that are named beside the time under the pointer. */
const SEEN_JOBS = 3;

function bar(pen, from, to, middle, height) {
  pen.beginPath();
  pen.roundRect(from, middle - height / 2, Math.max(1, to - from - 1), height, 2);
  pen.fill();
}
