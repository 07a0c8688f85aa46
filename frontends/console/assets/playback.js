// Builds the transcript of a past moment from the recording, in slices, so that the page stays
// responsive. Until it is complete, the previous transcript stays on the page.

import { SLICE } from "./limits.js";
import { Transcript } from "./transcript.js";

/** Builds the transcripts of requested moments, one at a time; only the latest request counts. */
export class Playback {
  #recording;
  #known;
  #show;
  #shown = null;
  #applied = 0;
  #wanted = null;
  #isBuilding = false;

  /** `show` is called with each complete transcript. */
  constructor(recording, known, show) {
    this.#recording = recording;
    this.#known = known;
    this.#show = show;
  }

  /** Requests the moment after `count` events. */
  go(count) {
    this.#wanted = count;
    if (!this.#isBuilding) this.#build();
  }

  /** Cancels the request. */
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
