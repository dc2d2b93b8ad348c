/** Curves of the training, which grow while the run trains, and what each kept epoch made. */

/** @import { Context, History, Panel } from "./types.js" */
/** @import { Curve } from "./curves.js" */

import { Chart, formatShort } from "./curves.js";
import { formatNumber, make } from "./dom.js";
import { Epochs } from "./epochs.js";
import { makeLazy } from "./lazy.js";

/** Numbers of a line that are no curve. */
const NO_CURVES = ["epoch", "step", "is_best", "seconds", "images_per_second"];
const SCALED = ["loss", "lr"]; // curves that a logarithmic scale helps
/** @type {Record<string, string>} */
const TITLES = {
  loss: "Loss",
  lr: "Learning rate",
  accuracy: "Accuracy",
  iou: "Mean IoU",
  kl: "KL divergence, nats",
};

/**
 * @param {Context} context
 * @returns {Panel | null} null where it has nothing to show
 */
export function makeTraining(context) {
  if (context.store.manifest.history === null) {
    return null; // a model in a file
  }
  return new Training(context).panel;
}

class Training {
  /** @param {Context} context */
  constructor(context) {
    const { store, say } = context;
    this.context = context;
    /** @type {History | null} */
    this.history = null;
    this.isLog = false;
    /** @type {Map<string, Chart>} */
    this.charts = new Map();
    this.status = make("p", { class: "training-status", role: "status" });
    this.wrong = make("h2", { text: "What looks wrong" });
    this.findings = make("ul", { "aria-label": "What looks wrong" });
    this.log = make("button", {
      text: "Log scale",
      "aria-pressed": "false",
      click: () => this.toggleLog(),
    });
    this.curves = make("div", {});
    this.table = make("table", {});
    this.numbers = make("details", { toggle: () => this.writeTable() }, [
      make("summary", { text: "All numbers" }),
      make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "History" }, [
        this.table,
      ]),
    ]);
    this.sentences = make("ul", {});
    this.reading = make("details", {}, [
      make("summary", { text: "What was read" }),
      this.sentences,
    ]);
    this.epochs = new Epochs(context);
    const element = make("div", { class: "training" }, [
      this.status,
      this.wrong,
      this.findings,
      this.log,
      this.curves,
      this.numbers,
      this.reading,
      this.epochs.element,
    ]);
    const { panel, refresh } = makeLazy({
      name: "training",
      title: "Training",
      element,
      update: (isLatest) => this.update(isLatest),
      leave: () => this.epochs.stop(),
      say,
    });
    this.panel = panel;
    store.on("history", (event) => this.grow(event));
    store.on("training", (event) => this.change({ is_training: event.is_training }));
    store.on("manifest", refresh);
  }

  /** @param {() => boolean} isLatest */
  async update(isLatest) {
    const history = await this.context.store.history();
    if (isLatest()) {
      this.history = history;
      this.show();
      await this.epochs.update();
    }
  }

  /**
   * Take lines that the server tells: those from a place on.
   *
   * @param {{from: number, lines: History["lines"]}} event
   */
  grow({ from, lines }) {
    if (this.history) {
      // What was found in an earlier training counts no more.
      this.change({ lines: [...this.history.lines.slice(0, from), ...lines], findings: [] });
    }
  }

  /** @param {Partial<History>} change */
  change(change) {
    if (this.history) {
      Object.assign(this.history, change);
      this.show();
    }
  }

  toggleLog() {
    this.isLog = !this.isLog;
    this.log.setAttribute("aria-pressed", String(this.isLog));
    this.show();
  }

  show() {
    const history = /** @type {History} */ (this.history);
    this.status.textContent = describeTraining(history);
    this.status.classList.toggle("is-training", history.is_training);
    this.findings.hidden = history.findings.length === 0;
    this.wrong.hidden = this.findings.hidden;
    this.findings.replaceChildren(...history.findings.map((text) => make("li", { text })));
    this.log.hidden = history.lines.length === 0;
    this.numbers.hidden = history.lines.length === 0;
    this.reading.hidden = history.reading.length === 0;
    this.sentences.replaceChildren(...history.reading.map((text) => make("li", { text })));
    this.showCharts(history);
    this.writeTable();
  }

  /** @param {History} history */
  showCharts({ lines }) {
    const epochs = lines.map((line) => Number(line.epoch));
    const best = lines.findLastIndex((line) => line.is_best);
    for (const [name, curves] of groupCurves(lines)) {
      const chart = this.charts.get(name) ?? this.addChart(name);
      chart.show(epochs, curves, { best, isLog: this.isLog && SCALED.includes(name) });
    }
  }

  /** @param {string} name */
  addChart(name) {
    const chart = new Chart(titleOf(name), (index) =>
      this.charts.forEach((one) => one.read(index)),
    );
    this.charts.set(name, chart);
    this.curves.append(chart.element);
    return chart;
  }

  /** Write all lines as a table, for those who cannot see curves; only if it is open. */
  writeTable() {
    const lines = this.history?.lines ?? [];
    if (!this.numbers.open) {
      return;
    }
    const keys = [...new Set(lines.flatMap((line) => Object.keys(line)))];
    const head = make(
      "tr",
      {},
      keys.map((key) => make("th", { scope: "col", text: key.replaceAll("_", " ") })),
    );
    const rows = lines.map((line) =>
      make(
        "tr",
        {},
        keys.map((key) => make("td", { text: formatCell(line[key]) })),
      ),
    );
    this.table.replaceChildren(make("thead", {}, [head]), make("tbody", {}, rows));
  }
}

/**
 * Return the curves of each chart: a number of the training with that of the validation.
 *
 * @param {History["lines"]} lines
 * @returns {Map<string, Curve[]>}
 */
function groupCurves(lines) {
  const keys = [...new Set(lines.flatMap((line) => Object.keys(line)))].filter(
    (key) => !NO_CURVES.includes(key),
  );
  const names = [...new Set(keys.map((key) => key.replace("validation_", "")))];
  names.sort((a, b) => rank(a) - rank(b));
  return new Map(
    names.map((name) => {
      const own = keys.filter((key) => key === name || key === `validation_${name}`).sort();
      return [name, own.map((key) => curve(key, lines))];
    }),
  );
}

/** Loss comes first, the learning rate last. */
function rank(/** @type {string} */ name) {
  return name === "loss" ? 0 : name === "lr" ? 2 : 1;
}

/**
 * @param {string} key
 * @param {History["lines"]} lines
 * @returns {Curve}
 */
function curve(key, lines) {
  const title = key === "lr" ? "rate" : key.startsWith("validation_") ? "validation" : "training";
  return { title, values: lines.map((line) => (typeof line[key] === "number" ? line[key] : null)) };
}

/** @param {string} name */
function titleOf(name) {
  const words = name.replaceAll("_", " ");
  return TITLES[name] ?? words[0].toUpperCase() + words.slice(1);
}

/**
 * Say in a sentence how far the training is, and how fast it was.
 *
 * @param {History} history
 */
function describeTraining({ lines, epochs, is_training: isTraining }) {
  const last = lines[lines.length - 1];
  if (!last) {
    return isTraining ? "Training now: no epoch is finished yet." : "This run has no history.";
  }
  const epoch = Number(last.epoch);
  const best = lines.findLast((line) => line.is_best);
  const parts = [
    describeProgress(epoch, epochs, isTraining),
    `${formatDuration(Number(last.seconds))}${timeLeft(last, epochs, isTraining)}`,
    `${formatNumber(Math.round(Number(last.images_per_second)))} samples a second`,
    ...(best ? [`best epoch ${formatNumber(Number(best.epoch))}`] : []),
  ];
  return `${parts.join(" · ")}.`;
}

/**
 * @param {number} epoch
 * @param {number} epochs that were asked for
 * @param {boolean} isTraining
 */
function describeProgress(epoch, epochs, isTraining) {
  const of = epochs && epochs !== epoch ? ` of ${formatNumber(epochs)}` : "";
  if (isTraining) {
    return `Training now: epoch ${formatNumber(epoch)} of ${formatNumber(epochs)}`;
  }
  return of
    ? `Stopped after ${formatNumber(epoch)}${of} epochs`
    : `Trained for ${formatNumber(epoch)} ${epoch === 1 ? "epoch" : "epochs"}`;
}

/**
 * @param {History["lines"][number]} last
 * @param {number} epochs
 * @param {boolean} isTraining
 */
function timeLeft({ seconds, epoch }, epochs, isTraining) {
  const left = (Number(seconds) / Number(epoch)) * (epochs - Number(epoch));
  return isTraining && left > 1 ? `, about ${formatDuration(left)} to go` : "";
}

/** @param {number} seconds */
function formatDuration(seconds) {
  const whole = Math.round(seconds);
  if (whole < 1) {
    return "less than 1 s";
  }
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  if (hours) {
    return `${hours} h ${minutes} min`;
  }
  return minutes ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}

/** @param {number | boolean | undefined} value */
function formatCell(value) {
  return typeof value === "number" ? formatShort(value) : value ? "yes" : "";
}
