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
 * Wait until the page has been idle for a moment.
 *
 * @param {number} milliseconds
 * @returns {Promise<void>}
 */
export function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
