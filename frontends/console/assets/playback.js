// The transcript of a past moment: built from the recording piece by piece, so that the page
// answers meanwhile.
//
// What is never true: that a half-built past is shown. Until the wanted one is complete, the last
// one stays.

import { SLICE } from "./limits.js";
import { Transcript } from "./transcript.js";

/** Transcripts of the moments that are asked for, one after the other. */
export class Playback {
  #recording;
  #known;
  #show;
  #shown = null;
  #applied = 0;
  #wanted = null;
  #isBuilding = false;

  /** `show` is called with each transcript that is complete. */
  constructor(recording, known, show) {
    this.#recording = recording;
    this.#known = known;
    this.#show = show;
  }

  /** Wants the moment after so many events. */
  go(count) {
    this.#wanted = count;
    if (!this.#isBuilding) this.#build();
  }

  /** Wants nothing any more. */
  stop() {
    this.#wanted = null;
    this.#shown = null;
    this.#applied = 0;
  }

  async #build() {
    this.#isBuilding = true;
    while (this.#wanted !== null && (this.#shown === null || this.#wanted !== this.#applied)) {
      const target = this.#wanted;
      const isBack = this.#shown === null || target < this.#applied;
      const transcript = isBack ? new Transcript(this.#known) : this.#shown;
      await this.#apply(transcript, isBack ? 0 : this.#applied, target);
      if (this.#wanted === null) break;
      this.#shown = transcript;
      this.#applied = target;
      this.#show(transcript);
    }
    this.#isBuilding = false;
  }

  async #apply(transcript, from, to) {
    let slice = performance.now();
    for (let at = from; at < to; at += 1) {
      transcript.apply(this.#recording.events[at]);
      if (performance.now() - slice < SLICE) continue;
      await new Promise((resolve) => setTimeout(resolve));
      slice = performance.now();
    }
  }
}
