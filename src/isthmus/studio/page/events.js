/** What a live server tells while the page is open: epochs, progress, new content. */

/** @import { Store } from "./store.js" */

/**
 * Say how far a live server is with reading and computing what the page will show.
 *
 * @param {(text: string) => void} say
 * @returns {() => void} ends it
 */
export function followPreparation(say) {
  const source = new EventSource("events");
  source.addEventListener("job", (event) => {
    const { name, done, total, text } = JSON.parse(event.data);
    if (name === "content" && text) {
      say(`${text} … ${Math.floor((100 * done) / total)} %`);
    }
  });
  return () => {
    source.close();
    say("");
  };
}

/**
 * Listen to the server, and pass what it tells to the store.
 *
 * The browser connects again by itself when the connection breaks.
 *
 * @param {Store} store
 * @param {(text: string) => void} say
 */
export function followServer(store, say) {
  const source = new EventSource("events");
  let isLost = false;
  source.onopen = () => {
    if (isLost) {
      say("The server is back.");
      store.refresh().catch((error) => say(error.message));
    }
    isLost = false;
  };
  source.onerror = () => {
    if (!isLost) {
      say("The server does not answer; start isthmus studio again. What is loaded still works.");
    }
    isLost = true;
  };
  for (const topic of /** @type {const} */ (["history", "job", "training"])) {
    source.addEventListener(topic, (event) => store.tell(topic, JSON.parse(event.data)));
  }
  source.addEventListener("manifest", () => {
    store.refresh().catch((error) => say(error.message));
  });
}
