/** The model in the page. */

export class Engine {
  /**
   * @param {import("./types.js").Manifest} manifest
   * @param {any} files
   */
  constructor(manifest, files) {
    this.manifest = manifest;
    this.files = files;
  }
}
