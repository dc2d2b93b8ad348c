/** Requests of which only the newest counts. */

export class Latest {
  constructor() {
    this.number = 0;
  }

  /**
   * Begin a request, which ends the ones before.
   *
   * @returns {() => boolean} whether it is still the newest
   */
  begin() {
    const number = ++this.number;
    return () => number === this.number;
  }
}

/**
 * Does one job at a time; while one is done, only the newest of those that come waits, so that no
 * queue builds up and something always appears.
 */
export class OneAtATime {
  /** @param {(error: Error) => void} fail */
  constructor(fail) {
    this.fail = fail;
    this.isBusy = false;
    /** @type {(() => Promise<void>) | null} */
    this.waiting = null;
  }

  /** @param {() => Promise<void>} job */
  async run(job) {
    this.waiting = job;
    if (this.isBusy) {
      return;
    }
    this.isBusy = true;
    while (this.waiting) {
      const next = this.waiting;
      this.waiting = null;
      await next().catch(this.fail);
    }
    this.isBusy = false;
  }
}

/**
 * Wait until the page has been idle for a moment.
 *
 * @param {number} milliseconds
 * @returns {Promise<void>}
 */
export function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
