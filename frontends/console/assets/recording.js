// The events of a session that the page keeps, with their times for replay.
//
// Invariant: sequences ascend and none occurs twice. Memory is bounded: the oldest events are
// dropped here and can be loaded again from the server.

import { HELD_CHARACTERS, HELD_EVENTS, LONGER_PAUSE, SHOWN_IDLENESS } from "./limits.js";

/** Events, oldest first. */
export class Recording {
  events = [];
  /** For each event, the milliseconds since the first, with long pauses shortened. */
  active = [];
  #characters = 0;

  get first() {
    return this.events[0]?.sequence ?? 0;
  }

  get last() {
    return this.events[this.events.length - 1]?.sequence ?? 0;
  }

  get isFull() {
    return this.#characters > HELD_CHARACTERS || this.events.length > HELD_EVENTS;
  }

  /** Adds the next event. Returns false for an event that it already has. */
  add(event) {
    if (event.sequence <= this.last) return false;
    const before = this.events[this.events.length - 1];
    const pause = before ? Math.max(0, event.at - before.at) : 0;
    this.active.push((this.active[this.active.length - 1] ?? 0) + shortened(pause));
    this.events.push(event);
    this.#characters += size(event);
    return true;
  }

  /** Inserts older events before the first. */
  addEarlier(events) {
    const first = this.first;
    const all = [...events.filter((event) => event.sequence < first), ...this.events];
    this.events = [];
    this.active = [];
    this.#characters = 0;
    for (const event of all) this.add(event);
  }

  /** Drops the oldest events until a quarter of the room is free. */
  trim() {
    let gone = 0;
    while (
      this.#characters > HELD_CHARACTERS * 0.75 ||
      this.events.length - gone > HELD_EVENTS * 0.75
    ) {
      this.#characters -= size(this.events[gone]);
      gone += 1;
    }
    this.events.splice(0, gone);
    const from = this.active[gone] ?? 0;
    this.active = this.active.slice(gone).map((time) => time - from);
  }

  /** The number of events up to and including a sequence. */
  countTo(sequence) {
    const first = this.first;
    if (this.events.length === 0 || sequence < first) return 0;
    // Sequences rarely have gaps, so start from the index that they would have without any.
    let count = Math.min(sequence - first + 1, this.events.length);
    while (count > 0 && this.events[count - 1].sequence > sequence) count -= 1;
    return count;
  }

  /** The duration in milliseconds up to an instant or the last event, with pauses in full or shortened. */
  length(withPauses, until = 0) {
    const last = this.events[this.events.length - 1];
    const pause = last ? Math.max(0, until - last.at) : 0;
    return this.timeOf(this.events.length - 1, withPauses) + (withPauses ? pause : shortened(pause));
  }

  /** The instant at a time, in milliseconds since the first event; the inverse of `timeOf`. */
  instantAt(time, withPauses) {
    const count = this.countAt(time, withPauses);
    if (count === 0) return this.events[0]?.at ?? 0;
    const { at } = this.events[count - 1];
    const rest = time - this.timeOf(count - 1, withPauses);
    const pause = withPauses ? rest : lengthened(rest);
    return Math.min(at + pause, this.events[count]?.at ?? Infinity);
  }

  /** The time of the event at an index, in milliseconds since the first event. */
  timeOf(index, withPauses) {
    if (index < 0 || this.events.length === 0) return 0;
    const at = Math.min(index, this.events.length - 1);
    return withPauses ? this.events[at].at - this.events[0].at : this.active[at];
  }

  /** The number of events up to a time, in milliseconds since the first event. */
  countAt(time, withPauses) {
    let low = 0;
    let high = this.events.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.timeOf(middle, withPauses) <= time) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** What a pause takes of a replay without pauses: the longer it is, the more, but never much. */
function shortened(pause) {
  if (pause <= SHOWN_IDLENESS) return pause;
  return SHOWN_IDLENESS + LONGER_PAUSE * Math.log(pause / SHOWN_IDLENESS);
}

/** The pause of which a replay shows so much. */
function lengthened(shown) {
  if (shown <= SHOWN_IDLENESS) return shown;
  return SHOWN_IDLENESS * Math.exp((shown - SHOWN_IDLENESS) / LONGER_PAUSE);
}

function size(event) {
  const { result, content, statement } = event;
  const text = result?.content ?? result?.contentBase64 ?? content ?? statement ?? "";
  return text.length + 100;
}
