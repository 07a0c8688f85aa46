// The events of a session that are held here: one stretch without gaps, to its last event or not.
//
// What is never true: that two events here have the same sequence, or that what is held has no
// bound. The oldest leave; the log still has them.

import { HELD_CHARACTERS, HELD_EVENTS, SHOWN_IDLENESS } from "./limits.js";

/** Events, oldest first, and a time without long pauses. */
export class Recording {
  events = [];
  /** For each event, the milliseconds from the first, counting pauses as short. */
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

  /** Adds the next event. One that is here already changes nothing: false. */
  add(event) {
    if (event.sequence <= this.last) return false;
    const before = this.events[this.events.length - 1];
    const pause = before ? Math.max(0, event.at - before.at) : 0;
    this.active.push((this.active[this.active.length - 1] ?? 0) + Math.min(pause, SHOWN_IDLENESS));
    this.events.push(event);
    this.#characters += size(event);
    return true;
  }

  /** Puts older events before the first. */
  addEarlier(events) {
    const first = this.first;
    const all = [...events.filter((event) => event.sequence < first), ...this.events];
    this.events = [];
    this.active = [];
    this.#characters = 0;
    for (const event of all) this.add(event);
  }

  /** Lets the oldest go until a quarter is free. */
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

  /** How many events there are up to a sequence. */
  countTo(sequence) {
    const first = this.first;
    if (this.events.length === 0 || sequence < first) return 0;
    // Nearly always without gaps, so that the place follows from the number.
    let count = Math.min(sequence - first + 1, this.events.length);
    while (count > 0 && this.events[count - 1].sequence > sequence) count -= 1;
    return count;
  }

  /** The length of it, with pauses or without. */
  length(withPauses) {
    return this.timeOf(this.events.length - 1, withPauses);
  }

  /** When, from the beginning, the event of that place happened. */
  timeOf(place, withPauses) {
    if (place < 0 || this.events.length === 0) return 0;
    const at = Math.min(place, this.events.length - 1);
    return withPauses ? this.events[at].at - this.events[0].at : this.active[at];
  }

  /** How many events had happened at a time from the beginning. */
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

function size(event) {
  const { result, content, statement } = event;
  const said = result?.content ?? result?.contentBase64 ?? content ?? statement ?? "";
  return said.length + 100;
}
