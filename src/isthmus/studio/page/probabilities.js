/** What a classifier thinks of a sample. */

/** @import { Context } from "./types.js" */

/**
 * Return the probabilities of classes and their names; while the page has no network, only what
 * was stored of the predicted class.
 *
 * @param {Context} context
 * @param {number} row
 * @returns {Promise<{shares: ArrayLike<number>, names: string[]}>}
 */
export async function probabilitiesOf({ store, engine }, row) {
  const predicted = await store.column("predicted");
  const names = predicted.kind === "category" ? predicted.names : [];
  try {
    const { sample } = await store.sample(row);
    return { shares: await engine.predict(sample), names };
  } catch {
    const confidence = await store.column("confidence");
    return { shares: [confidence.values[row]], names: [names[predicted.values[row]]] };
  }
}
